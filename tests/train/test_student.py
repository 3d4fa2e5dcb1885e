"""The student starts as its teacher, trains its LoRA alone, and may save its activations."""

import torch

from turbo_eval.models.guidance import GUIDANCE_DIM
from turbo_eval.models.lora import lora_parameters, named_lora
from turbo_train import student
from turbo_train.config import Lora
from turbo_train.teachers import TeacherParts


def inputs(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return (
        torch.randn(count, 8, 3, 8, 8, generator=g),
        torch.full((count,), 499),
        torch.randn(count, 5, 128, generator=g),
        torch.randn(count, GUIDANCE_DIM, generator=g),
    )


def test_it_starts_as_its_teacher_whatever_guidance_it_is_told(tiny_teacher: TeacherParts) -> None:
    network = student.make_student(tiny_teacher.unet, "vcm", Lora(rank=2)).eval()
    latents, times, text, guidance = inputs()
    with torch.no_grad():
        ours = student.as_student(network)(latents, times, text, guidance)
        theirs = student.as_teacher(tiny_teacher.unet)(latents, times, text)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert tiny_teacher.unet.config.time_cond_proj_dim is None
    trained = {id(p) for p in network.parameters() if p.requires_grad}
    assert trained == {id(p) for p in lora_parameters(network)}


def test_the_guidance_projection_learns_with_the_rest(tiny_teacher: TeacherParts) -> None:
    network = student.make_student(tiny_teacher.unet, "turbo_v2", Lora(rank=2))
    names = [name for name in named_lora(network) if "cond_proj" in name]
    assert len(names) == 2
    assert named_lora(network)[names[1]].shape[-1] == 2 * GUIDANCE_DIM


def test_recomputing_changes_neither_outputs_nor_gradients(tiny_teacher: TeacherParts) -> None:
    torch.manual_seed(0)
    network = student.make_student(tiny_teacher.unet, "vcm", Lora(rank=2, dropout=0.5))
    weights = student.trainable(network)
    student.train_mode(network, "ours")
    with torch.no_grad():
        for weight in weights:
            weight.normal_(std=0.1)
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        output = student.as_student(network)(*inputs())
        output.square().mean().backward()
        found.append((output.detach(), [w.grad.clone() for w in weights if w.grad is not None]))
        for weight in weights:
            weight.grad = None
        student.save_activations(network)
    assert torch.equal(found[0][0], found[1][0])
    assert len(found[0][1]) == len(weights)
    for before, after in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-8)


def test_dropout_acts_in_the_lora_alone_unless_the_authors_are_followed(
    tiny_teacher: TeacherParts,
) -> None:
    network = student.make_student(tiny_teacher.unet, "vcm", Lora(rank=2))
    student.train_mode(network, "ours")
    on = {type(module).__name__ for module in network.modules() if module.training}
    assert on == {"_DropoutLinear", "_DropoutConv2d"}
    student.train_mode(network, "authors")
    assert all(module.training for module in network.modules())


def test_a_resting_lora_gives_the_same_and_disturbs_no_gradient(
    tiny_teacher: TeacherParts,
) -> None:
    network = student.make_student(tiny_teacher.unet, "vcm", Lora(rank=2, dropout=0.0))
    weights = student.trainable(network)
    with torch.no_grad():
        for weight in weights:
            weight.normal_(std=0.1)
    call = student.as_student(network)
    grads = []
    for rest in (False, True):
        output = call(*inputs())
        if rest:
            with torch.no_grad(), student.resting(network, 0.0):
                torch.testing.assert_close(call(*inputs()), output, rtol=1e-4, atol=1e-5)
        output.square().mean().backward()
        grads.append([w.grad.clone() for w in weights if w.grad is not None])
        for weight in weights:
            weight.grad = None
    for one, two in zip(*grads, strict=True):
        assert torch.equal(one, two)


def test_the_average_is_only_borrowed(tiny_teacher: TeacherParts) -> None:
    network = student.make_student(tiny_teacher.unet, "vcm", Lora(rank=2))
    before = [w.detach().clone() for w in lora_parameters(network)]
    with student.averaged(network, [torch.ones_like(w) for w in before]):
        assert all(bool((w == 1).all()) for w in lora_parameters(network))
    for now, then in zip(lora_parameters(network), before, strict=True):
        assert torch.equal(now, then)
