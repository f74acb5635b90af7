"""Words of the commands that look after models."""

import argparse
from typing import Any

from obeaver.cli.arguments import STORE_OPTIONS, add_options, command, later, not_empty

_HOME = frozenset({"home"})


def add_model_commands(commands: Any) -> None:
    """Add them to the parser's sub-commands."""
    _add_convert(commands)
    _add_models(commands)
    _add_show(commands)
    _add_rm(commands)
    _add_init(commands)
    _add_check(commands)


def _add_convert(commands: Any) -> None:
    parser = command(
        commands,
        "convert",
        later("obeaver.cli.models.convert", "run_convert"),
        "turn a Hugging Face checkpoint into a model folder in the store (needs obeaver[convert])",
        (
            "obeaver convert ~/checkpoints/my-llama -p int4",
            "obeaver convert ORG/REPO -p int8 --name mine",
            "obeaver convert ORG/REPO@v1.0 -p fp16 -e cuda",
        ),
    )
    parser.add_argument(
        "source",
        type=not_empty,
        metavar="DIR | ORG/REPO",
        help="folder of a checkpoint, or a repository of the hub",
    )
    parser.add_argument(
        "-p", "--precision", required=True, metavar="FORMAT", help="format of the weights: int4, int8, fp16, fp32"
    )
    parser.add_argument(
        "-e",
        "--execution-provider",
        default="cpu",
        metavar="NAME",
        help="what the model is made for: cpu, cuda, dml, webgpu, trt-rtx (default: cpu)",
    )
    parser.add_argument("--name", metavar="NAME", help="name in the store (default: the checkpoint's, with the format)")
    add_options(parser, STORE_OPTIONS)


def _add_models(commands: Any) -> None:
    parser = command(
        commands,
        "models",
        later("obeaver.cli.models.listing", "run_models"),
        "list the models in the store, and those that can be had by name",
        ("obeaver models", "obeaver models --json", "obeaver models --home /srv/models"),
    )
    _add_json(parser)
    add_options(parser, _HOME)


def _add_show(commands: Any) -> None:
    parser = command(
        commands,
        "show",
        later("obeaver.cli.models.show", "run_show"),
        "tell what is known of a model: formats, context, template, licence, source, fidelity",
        ("obeaver show smollm2-135m", "obeaver show ~/models/my-model", "obeaver show smollm2-135m --json"),
    )
    parser.add_argument(
        "model", type=not_empty, metavar="MODEL", help="a name in the store or the catalogue, or a model folder"
    )
    _add_json(parser)
    add_options(parser, _HOME)


def _add_rm(commands: Any) -> None:
    parser = command(
        commands,
        "rm",
        later("obeaver.cli.models.remove", "run_rm"),
        "remove models from the store",
        ("obeaver rm smollm2-135m-int4", "obeaver rm smollm2-135m all-minilm-l6-v2 --yes"),
    )
    parser.add_argument("models", nargs="+", metavar="NAME", help="a name that obeaver models lists")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="remove a model although a running obeaver uses it")
    add_options(parser, _HOME)


def _add_init(commands: Any) -> None:
    parser = command(
        commands,
        "init",
        later("obeaver.cli.init", "run_init"),
        "make the model store, or move it with all that is in it to another folder",
        ("obeaver init", "obeaver init /srv/models", "obeaver init /mnt/shared/models --no-move"),
    )
    parser.add_argument(
        "directory",
        nargs="?",
        metavar="DIR",
        help="the store's new folder; without one, an interrupted move is finished",
    )
    parser.add_argument("--no-move", action="store_true", help="use DIR from now on, and leave what is elsewhere there")
    add_options(parser, _HOME)


def _add_check(commands: Any) -> None:
    parser = command(
        commands,
        "check",
        later("obeaver.cli.check", "run_check"),
        "report what obeaver has to work with here, and what is wrong; status 1 if something that matters is broken",
        ("obeaver check", "obeaver check --deep", "HF_HUB_OFFLINE=1 obeaver check --json"),
    )
    parser.add_argument("--deep", action="store_true", help="read all content of all models in the store")
    _add_json(parser)
    add_options(parser, _HOME)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
