"""Training loops of other libraries, given the same network, data, batches, optimiser and moving average.

Each is set up to its advantage: no logger, no progress bar, no checkpoints, and images that are tensors already. What
a library leaves no choice about is kept, and said in its docstring.
"""

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW

from benchmarks.training.diffusion import Plan
from benchmarks.training.loops import Loop, cosine, decay, loader, ours, plain, put, tutorial

# Its Trainer averages every tenth step by default. Every tenth step with decay^10 looks back as far as every step.
LUCIDRAINS_EMA_EVERY = 10


def diffusers(network: nn.Module, images: Tensor, plan: Plan, seed: int) -> None:
    """The loop of diffusers' examples/unconditional_image_generation/train_unconditional.py.

    With its DDPMScheduler, EMAModel and Accelerator, and with the loss read at every step for the log, as there. Left
    out, as no other contender has it: gradient clipping and the bar.
    """
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    torch.manual_seed(seed)
    accelerator = Accelerator(cpu=images.device.type == "cpu")
    q = plan.diffusion
    noise_scheduler = DDPMScheduler(
        num_train_timesteps=q.steps, beta_start=q.first, beta_end=q.last, beta_schedule="linear"
    )
    ema = EMAModel(network.parameters(), decay=plan.ema)  # its warm-up is (1 + step) / (10 + step), too
    optimizer = AdamW(network.parameters(), lr=plan.lr)
    model, optimizer, batches, lr_scheduler = accelerator.prepare(
        network, optimizer, loader(images, plan.batch_size), cosine(optimizer, plan.steps)
    )
    step, logs = 0, []
    while step < plan.steps:
        model.train()
        for (clean,) in batches:
            noise = torch.randn(clean.shape, dtype=clean.dtype, device=clean.device)
            t = torch.randint(0, q.steps, (len(clean),), device=clean.device).long()
            noisy = noise_scheduler.add_noise(clean, noise, t)
            with accelerator.accumulate(model):
                loss = F.mse_loss(model(noisy, t), noise)
                accelerator.backward(loss)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                ema.step(model.parameters())
                step += 1
            logs.append({"loss": loss.detach().item(), "lr": lr_scheduler.get_last_lr()[0], "step": step})
            if step == plan.steps:
                break
    ema.copy_to(network.parameters())
    network.eval()


def lightning(network: nn.Module, images: Tensor, plan: Plan, seed: int) -> None:
    """A LightningModule and its Trainer, with Lightning's own callback for the average of the weights."""
    with _quiet():
        import lightning as L
        from lightning.pytorch.callbacks import WeightAveraging

        class Module(L.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def training_step(self, batch: list[Tensor], index: int) -> Tensor:
                return plan.diffusion.loss(self.network, batch[0])

            def configure_optimizers(self) -> dict[str, Any]:
                optimizer = AdamW(self.parameters(), lr=plan.lr)
                every_step = {"scheduler": cosine(optimizer, plan.steps), "interval": "step"}
                return {"optimizer": optimizer, "lr_scheduler": every_step}

        def towards(average: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
            torch._foreach_lerp_(average, weights, 1 - decay(plan, int(count)))

        torch.manual_seed(seed)
        trainer = L.Trainer(
            accelerator="gpu" if images.is_cuda else "cpu",
            devices=1,
            max_steps=plan.steps,
            callbacks=[WeightAveraging(multi_avg_fn=towards)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Module(), loader(images, plan.batch_size))
    network.to(images.device).eval()


def lucidrains(network: nn.Module, images: Tensor, plan: Plan, seed: int) -> None:
    """GaussianDiffusion and Trainer of lucidrains' denoising-diffusion-pytorch, around the same network.

    Its Trainer reads a folder of images with as many worker processes as there are cores, reads the loss at every
    step, and computes the norm of the gradient for clipping (the bound is infinite here). The images are float TIFF
    files, so that their values are exact. Its fixed Adam without a schedule is replaced by everybody's optimiser.
    """
    _torchvision()
    with _quiet(), tempfile.TemporaryDirectory() as name:
        from denoising_diffusion_pytorch import GaussianDiffusion, Trainer

        folder = _write_images(images, Path(name) / "images")
        torch.manual_seed(seed)
        q = plan.diffusion
        scaled = (q.first * q.steps / 1000, q.last * q.steps / 1000)  # its schedule is for 1000 steps
        if not torch.allclose(torch.tensor(scaled), torch.tensor((1e-4, 0.02))):
            raise ValueError(f"lucidrains knows one linear schedule, beta 0.0001 to 0.02 at 1000 steps; got {scaled}")
        diffusion = GaussianDiffusion(
            _Adapter(network),
            image_size=images.shape[-1],
            timesteps=q.steps,
            objective="pred_noise",
            beta_schedule="linear",
        ).to(images)
        trainer = Trainer(
            diffusion,
            str(folder),
            train_batch_size=plan.batch_size,
            train_num_steps=plan.steps,
            augment_horizontal_flip=False,
            ema_update_every=LUCIDRAINS_EMA_EVERY,
            ema_decay=plan.ema**LUCIDRAINS_EMA_EVERY,
            max_grad_norm=float("inf"),
            save_and_sample_every=plan.steps + 1,
            calculate_fid=False,
            convert_image_to="F",
            results_folder=str(Path(name) / "results"),
        )
        optimizer = AdamW(diffusion.parameters(), lr=plan.lr)
        scheduler = cosine(optimizer, plan.steps)
        optimizer.register_step_post_hook(lambda *_: scheduler.step())
        trainer.opt = trainer.accelerator.prepare(optimizer)
        trainer.train()
        put([w.detach() for w in trainer.ema.ema_model.model.network.parameters()], network)


class _Adapter(nn.Module):
    """The network with what GaussianDiffusion wants to know of its U-Net."""

    channels = out_dim = 1
    self_condition = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, condition: None = None) -> Tensor:
        return self.network(x, t)


def _write_images(images: Tensor, folder: Path) -> Path:
    """One float TIFF in [0, 1] per image of (-1, 1)."""
    from PIL import Image

    folder.mkdir()
    for number, image in enumerate(((images[:, 0] + 1) / 2).float().cpu().numpy()):
        Image.fromarray(image).save(folder / f"{number:05d}.tiff")
    return folder


def _torchvision() -> None:
    """Make `torchvision.transforms` importable beside a PyTorch for which its compiled part was not built.

    lucidrains uses torchvision's Python alone. Its import stops at two compiled operators, for detecting objects,
    that cannot be loaded; their names are all it asks for.

    Raises:
        ImportError: torchvision is not installed.
    """
    global _names
    try:
        importlib.import_module("torchvision.transforms")
        return
    except RuntimeError:
        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
    _names = torch.library.Library("torchvision", "DEF")  # kept: the names go with it
    _names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    importlib.import_module("torchvision.transforms")


_names: Any = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neither bars nor advice on worker processes."""
    talkers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stderr(nowhere),
            contextlib.redirect_stdout(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)


CONTENDERS: dict[str, Loop] = {
    "ours": ours,
    "plain": plain,
    "tutorial": tutorial,
    "diffusers": diffusers,
    "lightning": lightning,
    "lucidrains": lucidrains,
}
NEEDS = {
    "diffusers": ("diffusers", "accelerate"),
    "lightning": ("lightning",),
    "lucidrains": ("torchvision", "denoising_diffusion_pytorch", "accelerate"),
}


def available() -> tuple[dict[str, Loop], dict[str, str]]:
    """The contenders that can run here, and for the others the reason why not."""
    loops, missing = {}, {}
    with contextlib.suppress(ImportError):
        _torchvision()  # first: lightning imports it, too, where it is installed
    for name, loop in CONTENDERS.items():
        try:
            for module in NEEDS.get(name, ()):
                importlib.import_module(module)
            loops[name] = loop
        except (ImportError, RuntimeError, AttributeError) as error:
            missing[name] = f"{type(error).__name__}: {error}"
    return loops, missing
