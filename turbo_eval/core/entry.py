"""The one place where outcomes of both programs become exit codes and last words.

Codes (docs/exit-codes.md): the error's own for a `TurboError`, 2 for wrong usage, 1 for anything
unexpected, 130 and 143 after a signal, 141 when the reader of the output went away.
"""

import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from typer import Typer
from typer.exceptions import Abort, TyperException
from typer.main import get_command

from turbo_eval.core.errors import Interrupted, TurboError, one_line

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
PIPE_CLOSED = 128 + signal.SIGPIPE


class Terminated(BaseException):
    """SIGTERM arrived outside any loop that finishes its item first."""


def main(app: Typer, program: str, argv: Sequence[str] | None = None) -> None:
    """Run a program and leave the process with the documented exit code.

    Args:
        app: the commands.
        program: what the user typed to get here.
        argv: arguments without the program's name; those of the process when None.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _on_terminate)
    sys.exit(run(app, program, args))


def run(app: Typer, program: str, args: list[str]) -> int:
    """Run one command line and return its exit code; errors are told on stderr.

    Args:
        app: the commands.
        program: what the user typed to get here.
        args: arguments without the program's name.

    Returns:
        The exit code, as in docs/exit-codes.md.
    """
    try:
        code = _invoke(app, program, args)
        # What is still buffered must be written here, where a closed pipe can be handled.
        sys.stdout.flush()
    except Interrupted as error:
        _say(str(error))
        return _stopped(program, args, error.exit_code)
    except TurboError as error:
        _say(f"{program}: {error}")
        return error.exit_code
    except TyperException as error:
        _say(f"{program}: {_usage_line(program, error)}")
        return error.exit_code
    except (KeyboardInterrupt, Abort):
        return _stopped(program, args, INTERRUPTED)
    except Terminated:
        return _stopped(program, args, TERMINATED)
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:
        return _unexpected(program, error, args)
    # Typer turns an interrupt into this code by itself.
    return _stopped(program, args, code) if code == INTERRUPTED else code


def _invoke(app: Typer, program: str, args: list[str]) -> int:
    command = get_command(app)
    try:
        result = command.main(args=args, prog_name=program, standalone_mode=False)
    except SystemExit as error:
        # Completion requests end this way, and so does Typer's own handling of a closed pipe.
        if isinstance(error.__context__, BrokenPipeError):
            raise BrokenPipeError from None
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return result if isinstance(result, int) else 0


def _on_terminate(_signum: int, _frame: FrameType | None) -> None:
    raise Terminated


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _usage_line(program: str, error: TyperException) -> str:
    # Typer's "no arguments, so help" has shown the help and carries no words of its own.
    message = error.format_message().strip().rstrip(".") or "Missing command"
    near = getattr(error, "possibilities", None)
    if near:
        message = f"{error.message}. Did you mean {' or '.join(sorted(near))}?"
    context = getattr(error, "ctx", None)
    path = program if context is None else context.command_path
    stop = "" if message.endswith("?") else "."
    return one_line(f"{message}{stop} Fix: see {path} --help")


def _stopped(program: str, args: list[str], code: int) -> int:
    """Say how to go on; it must be the last line, so that it can be copied."""
    _say(f"Stopped; everything finished is kept. To go on: {shlex.join([program, *args])}")
    return code


def _reader_left() -> int:
    # Python would complain once more while closing stdout; give it somewhere to write.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED


def _unexpected(program: str, error: Exception, args: list[str]) -> int:
    text = f"{shlex.join([program, *args])}\n\n{traceback.format_exc()}"
    _say(f"{program}: unexpected error: {type(error).__name__}: {one_line(str(error))}")
    _say(f"The traceback is in {_write_log(program, text, args)}")
    _say("This is a fault of ours: please report it with that file and `turbo-eval doctor --json`.")
    return 1


def _write_log(program: str, text: str, args: list[str]) -> Path:
    folder = _run_folder(args)
    name = f"error-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    if folder is not None:
        try:
            log = folder / "log"
            log.mkdir(exist_ok=True)
            (log / name).write_text(text, encoding="utf-8")
        except OSError:
            # A full or read-only run folder may be the very cause; the traceback still counts.
            pass
        else:
            return log / name
    path = Path(tempfile.mkdtemp(prefix=f"{program}-")) / name
    path.write_text(text, encoding="utf-8")
    return path


def _run_folder(args: list[str]) -> Path | None:
    """The run folder of this command line, when it exists already."""
    named = os.environ.get("TURBO_EVAL_RUN")
    for position, arg in enumerate(args):
        if arg == "--run" and position + 1 < len(args):
            named = args[position + 1]
        elif arg.startswith("--run="):
            named = arg.removeprefix("--run=")
    folder = Path(named) if named else None
    # Unlike Path.is_dir, this raises nothing for a name that cannot be.
    return folder if folder is not None and os.path.isdir(folder) else None
