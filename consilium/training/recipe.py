"""`train_adapter`: the recipe that turns rows into an adapter (trl's SFTTrainer over peft's LoRA)."""

import json
import logging
import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from consilium.errors import BadRows, BadSettings, MissingExtra
from consilium.members.adapter import CONFIG_FILE, TARGET_MODULES, WEIGHTS_FILE, LoraSettings
from consilium.members.base import Base
from consilium.members.persona import Recipe
from consilium.training.memory import give_back_freed_memory, keep_freed_memory
from consilium.training.packing import pack
from consilium.training.rows import Lesson
from consilium.training.run import Run

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig
    from torch import Tensor
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from trl.trainer.sft_config import SFTConfig

    from consilium.training.trainer import Trainer

DEV_ROWS = 160
"""Rows that the weights are chosen by; more would take longer than they tell."""
PATIENCE = 3
"""Measurements without a lower loss on those rows after which training ends."""
MAX_TOKENS = 1024
"""Longest lesson, prompt and reply together."""
BATCH_SIZE = 8
"""Rows to a step. Of the same rows, twice as many steps of half the size teach more, and take no longer."""

Tracker = Literal["tensorboard", "trackio"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a training run stands after an optimiser step."""

    done: int
    total: int
    loss: float
    """Mean cross-entropy of the reply's tokens since the last report, in nats."""
    dev_loss: float | None
    """The same over rows that are not learned from, when last measured; None where there are none, or not yet."""
    seconds: float
    """Spent on the run so far, over all resumptions."""
    tokens: int
    """Read so far; a beginning that the rows of a batch share counts once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished run: a folder with the two files of an adapter, and what it took."""

    folder: Path
    rows: int
    steps: int
    seconds: float
    """Over all resumptions."""
    loss: float
    """The last reported training loss, in nats a token."""
    dev_loss: float | None
    """The lowest loss on the rows that were not learned from: that of the weights which were kept."""
    base_dev_loss: float | None
    """The bare base's loss on the same rows."""


def train_adapter(
    recipe: Recipe,
    lessons: Sequence[Lesson],
    base: Base,
    work: Path,
    *,
    dev: Sequence[Lesson] = (),
    seed: int = 0,
    tracker: Tracker | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Trained:
    """Train a LoRA adapter and leave it in ``work/adapter``.

    On the CPU, all seven linear projections of every layer, loss on the reply's tokens alone. Checkpoints lie in
    ``work``; a run that finds one goes on from there. LoRA: Hu et al., arXiv 2106.09685.

    Args:
        recipe: rank, epochs and learning rate; a persona's [training] table is one.
        lessons: what to learn from.
        base: the base model.
        work: a folder of its own for checkpoints and the result.
        dev: lessons to choose by: the weights with the lowest loss on them are kept, and training ends early where that
            loss has not fallen for a while.
        seed: of initialisation and shuffling.
        tracker: also keep the curve in ``work``, as TensorBoard or Trackio shows it.
        on_step: told about progress every few steps.

    Raises:
        BadRows: there are no lessons, or one is longer than `MAX_TOKENS`, or ``work`` holds another run.
        BadSettings: what a token weight is for is not one token of the base.
        MissingExtra: trl or the tracker is not installed.
    """
    if tracker and find_spec(tracker) is None:
        raise MissingExtra(f"{tracker} is not installed: pip install {tracker}")
    if not lessons:
        raise BadRows("lessons=(): there is nothing to learn from. Give rows.")
    _quieten()
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    from consilium.training.adapted import onednn_products

    keep_freed_memory()
    chosen, chosen_by = lessons[: recipe.limit], _spread(dev, DEV_ROWS)
    _check_lengths((*chosen, *chosen_by), base)
    weights = _token_weights(recipe, base)
    run = Run(work, recipe, chosen, chosen_by, base, seed)
    finished = run.finished if (work / "adapter" / WEIGHTS_FILE).is_file() else None
    if finished is None:
        last = _last_checkpoint(work)
        trainer = _trainer(recipe, chosen, chosen_by, base, work, seed, weights, begun=last is not None)
        trainer.add_callback(_reporter(run, on_step))
        if tracker:
            trainer.add_callback(INTEGRATION_TO_CALLBACK[tracker])
        with onednn_products():
            result = trainer.train(resume_from_checkpoint=last)
        _save(trainer.model, recipe, base, work / "adapter")
        finished = run.finish(_figures(trainer.state, result.training_loss))
    return Trained(folder=work / "adapter", rows=len(chosen), **finished)


def _figures(state: "TrainerState", mean_loss: float) -> dict[str, float | None]:
    """Return what a run came to; one too short to report a loss has its mean."""
    losses, dev_losses = ([log[kind] for log in state.log_history if kind in log] for kind in ("loss", "eval_loss"))
    return {
        "steps": state.global_step,
        "loss": losses[-1] if losses else mean_loss,
        "dev_loss": state.best_metric,
        "base_dev_loss": dev_losses[0] if dev_losses else None,
    }


def _spread(lessons: Sequence[Lesson], count: int) -> Sequence[Lesson]:
    """Return at most so many of the lessons, from all over them."""
    return lessons[:: max(1, math.ceil(len(lessons) / count))]


def _last_checkpoint(work: Path) -> str | None:
    """Return the last that was written to its end, which its state is."""
    complete = [state.parent for state in work.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.rpartition("-")[2]))) if complete else None


def _check_lengths(lessons: Sequence[Lesson], base: Base) -> None:
    """Raise `BadRows` for the first that is too long."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.path)
    chats = [[*_prompt(lesson), *_completion(lesson)] for lesson in lessons]
    for lesson, tokens in zip(lessons, tokenizer.apply_chat_template(chats, return_dict=False), strict=True):
        if len(tokens) > MAX_TOKENS:
            raise BadRows(
                f"{lesson.row.origin or repr(lesson.row.request[:60])} has {len(tokens):,} tokens with its prompt, and "
                f"{MAX_TOKENS:,} are the most. Shorten it, or leave it out: max_target_chars in [training.rows]."
            )


def _prompt(lesson: Lesson) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": lesson.system_prompt},
        {"role": "user", "content": lesson.row.request},
    ]


def _completion(lesson: Lesson) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": lesson.row.replies[0]}]


def _trainer(
    recipe: Recipe,
    lessons: Sequence[Lesson],
    dev: Sequence[Lesson],
    base: Base,
    work: Path,
    seed: int,
    weights: "Tensor | None",
    *,
    begun: bool,
) -> "Trainer":
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback, PrinterCallback

    from consilium.training.adapted import fuse_adapters
    from consilium.training.trainer import Trainer

    steps = math.ceil(len(lessons) / BATCH_SIZE * recipe.epochs)
    trainer = Trainer(
        prompts=[lesson.system_prompt for lesson in lessons],
        weights=weights,
        # Fused attention is the slower one here: sequences are short, and its kernel is made for many cores.
        model=AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32, attn_implementation="eager"),
        args=_arguments(recipe, work, seed, save_every=min(150, max(10, steps // 8)), chosen=bool(dev), begun=begun),
        train_dataset=_dataset(lessons),
        eval_dataset=_dataset(dev) if dev else None,
        processing_class=AutoTokenizer.from_pretrained(base.path),
        data_collator=pack,
        peft_config=_lora(recipe),
        callbacks=[EarlyStoppingCallback(PATIENCE)] if dev else None,
    )
    fuse_adapters(trainer.model)  # type: ignore[arg-type]  # trl: a model or its name; by now a model
    trainer.remove_callback(PrinterCallback)  # it would print a dictionary a step beside our own report
    return trainer


def _token_weights(recipe: Recipe, base: Base) -> "Tensor | None":
    """Return how often each token's loss counts, by token id."""
    import torch
    from transformers import AutoConfig, AutoTokenizer

    if not recipe.token_weights:
        return None
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    weights = torch.ones(AutoConfig.from_pretrained(base.path).vocab_size)
    for text, weight in recipe.token_weights.items():
        tokens = tokenizer.encode(text, add_special_tokens=False)
        if len(tokens) != 1:
            raise BadSettings(
                f"token_weights: {text!r} is {len(tokens)} tokens of the base, and a weight is of one. "
                "Give the text of a single token; that of most words begins with a space."
            )
        weights[tokens[0]] = weight
    return weights


def _quieten() -> None:
    """Switch off the libraries' own progress bars: there is one for the run. Raises `MissingExtra` without trl."""
    try:
        import trl  # noqa: F401 -- only asked whether it is there
        from datasets import disable_progress_bars
    except ImportError as error:
        raise MissingExtra("training needs trl: pip install 'consilium[train]'") from error
    from transformers.utils import logging as transformers_logging

    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


def _arguments(recipe: Recipe, work: Path, seed: int, *, save_every: int, chosen: bool, begun: bool) -> "SFTConfig":
    from trl.trainer.sft_config import SFTConfig

    # bf16 and activation checkpointing are trl's defaults and both cost dearly on a CPU.
    return SFTConfig(
        output_dir=str(work),
        per_device_train_batch_size=BATCH_SIZE,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=20,
        max_length=MAX_TOKENS,
        train_sampling_strategy="group_by_length",
        logging_steps=5,
        include_num_input_tokens_seen="all",
        save_steps=save_every,
        save_total_limit=1,
        eval_strategy="steps" if chosen else "no",
        eval_steps=save_every,
        eval_on_start=chosen and not begun,  # when every B is zero, so that this is the bare base's loss
        restore_callback_states_from_checkpoint=True,  # for how long the loss has not fallen
        per_device_eval_batch_size=BATCH_SIZE,
        load_best_model_at_end=chosen,
        seed=seed,
        bf16=False,
        use_cpu=True,
        activation_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )


def _lora(recipe: Recipe) -> "LoraConfig":
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=list(TARGET_MODULES),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _dataset(lessons: Sequence[Lesson]) -> "Dataset":
    from datasets import Dataset

    return Dataset.from_list([{"prompt": _prompt(lesson), "completion": _completion(lesson)} for lesson in lessons])


def _reporter(run: Run, on_step: Callable[[Step], None] | None) -> "TrainerCallback":
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        dev_loss: float | None = None

        def on_step_end(
            self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **_: object
        ) -> None:
            give_back_freed_memory()

        def on_log(
            self,
            args: "TrainingArguments",
            state: "TrainerState",
            control: "TrainerControl",
            logs: "dict[str, float] | None" = None,
            **_: object,
        ) -> None:
            run.save()
            if logs and "eval_loss" in logs:
                self.dev_loss = float(logs["eval_loss"])
            if on_step is not None and logs and "loss" in logs:
                loss, done, total = float(logs["loss"]), state.global_step, state.max_steps
                on_step(
                    Step(
                        done=done,
                        total=total,
                        loss=loss,
                        dev_loss=self.dev_loss,
                        seconds=run.seconds,
                        tokens=state.num_input_tokens_seen,
                    )
                )

    return Reporter()


def _save(model: object, recipe: Recipe, base: Base, folder: Path) -> None:
    """Write the adapter's two files: our own strict configuration, and the weights in bfloat16."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tensors = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in sorted(get_peft_model_state_dict(model).items())
    }
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    settings = LoraSettings(
        base_model_name_or_path=base.name,
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=TARGET_MODULES,
    )
    text = json.dumps(settings.model_dump(mode="json"), indent=2) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
