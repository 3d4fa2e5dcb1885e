"""Beam search whose results equal those of transformers 4.33.2, the version VBench is pinned to.

Its rules: a hypothesis is rated by its summed log-probability over its length, the prompt
included and the end token not; a text is finished when its three kept hypotheses all rate at
least as high as the best running one would if it ended one token later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Advance = Callable[[Tensor, Tensor], Tensor]
"""(new tokens [R, T], row that each continues [R]) -> logits of the next token [R, words]."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How to search.

    Attributes:
        beams: Hypotheses followed at once.
        shortest: No text ends before it has this many tokens, the prompt included.
        longest: A text is cut at this many tokens, the prompt included.
        end: The number of the token that ends a text.
    """

    beams: int
    shortest: int
    longest: int
    end: int


@dataclass(slots=True)
class _Search:
    """What is known about one text.

    Attributes:
        running: Tokens of the hypotheses that go on, the likeliest first.
        sums: Their summed log-probabilities.
        kept: Finished hypotheses with their ratings, at most `beams` of them.
        worst: The lowest rating among those kept.
        done: No running hypothesis can enter `kept` any more.
    """

    running: list[list[int]]
    sums: list[float]
    kept: list[tuple[float, list[int]]] = field(default_factory=list)
    worst: float = 1e9
    done: bool = False

    def keep(self, tokens: list[int], total: float, beams: int) -> None:
        rating = total / len(tokens)
        if len(self.kept) < beams or rating > self.worst:
            self.kept.append((rating, tokens))
            if len(self.kept) > beams:
                order = sorted((rate, place) for place, (rate, _) in enumerate(self.kept))
                del self.kept[order[0][1]]
                self.worst = order[1][0]
            else:
                self.worst = min(rating, self.worst)

    def step(
        self, sums: Sequence[float], beams: Sequence[int], tokens: Sequence[int], rules: Rules
    ) -> list[int]:
        """Take the best continuations, best first; return the beam that each new one continues."""
        running: list[list[int]] = []
        totals: list[float] = []
        origins: list[int] = []
        for rank, (total, beam, token) in enumerate(zip(sums, beams, tokens, strict=True)):
            if token == rules.end:
                # A token that is not among the best `beams` does not end a text.
                if rank < rules.beams:
                    self.keep(self.running[beam], total, rules.beams)
                continue
            running.append([*self.running[beam], token])
            totals.append(total)
            origins.append(beam)
            if len(running) == rules.beams:
                break
        length = len(self.running[0]) + 1
        self.running, self.sums = running, totals
        self.done = len(self.kept) == rules.beams and self.worst >= sums[0] / length
        return origins

    def best(self, rules: Rules) -> list[int]:
        if not self.done:
            for tokens, total in zip(self.running, self.sums, strict=True):
                self.keep(tokens, total, rules.beams)
        return sorted(self.kept, key=lambda hypothesis: hypothesis[0])[-1][1]


def search(advance: Advance, prompt: Sequence[int], count: int, rules: Rules) -> list[list[int]]:
    """Find the likeliest texts that begin with a prompt.

    Args:
        advance: The decoder; it is called with the prompt of every text first, and then with the
            last token of `beams` rows a text. Texts that are finished are left out.
        prompt: Tokens that every text begins with.
        count: Texts to find.
        rules: See `Rules`.

    Returns:
        For each text its tokens, prompt included, end token not.
    """
    texts = [_Search([list(prompt)], [0.0]) for _ in range(count)]
    tokens = torch.tensor([list(prompt)] * count)
    rows = torch.arange(count)
    active = list(range(count))
    for length in range(len(prompt), rules.longest):
        logits = advance(tokens, rows).float()
        gain = logits.log_softmax(dim=-1)
        if length < rules.shortest:
            gain[:, rules.end] = -torch.inf
        words = gain.shape[1]
        before = torch.tensor([texts[k].sums for k in active], device=gain.device)
        total = (gain.view(len(active), -1, words) + before[..., None]).flatten(1)
        sums, places = (part.tolist() for part in total.topk(2 * rules.beams, dim=1))
        beams = total.shape[1] // words
        origins: list[int] = []
        going: list[int] = []
        for at, k in enumerate(active):
            came = texts[k].step(
                sums[at], [p // words for p in places[at]], [p % words for p in places[at]], rules
            )
            if not texts[k].done:
                going.append(k)
                origins += [at * beams + beam for beam in came]
        active = going
        if not active:
            break
        rows = torch.tensor(origins)
        tokens = torch.tensor([[beam[-1]] for k in active for beam in texts[k].running])
    return [text.best(rules) for text in texts]
