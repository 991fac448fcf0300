"""`bnexp doctor`: check this machine, down to a training that must learn."""

import argparse
import shutil
import textwrap

from bnexp.config.compose import Composer
from bnexp.config.engines import Local
from bnexp.config.overrides import single
from bnexp.errors import UsageError, in_one_line
from bnexp.plural import counted


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code: 1 if anything is wrong."""
    try:
        from bnexp.doctor import completed, examine  # imports torch
        from bnexp.train.device import resolve
    except (ImportError, OSError) as error:  # OSError: a library that torch loads
        reason = in_one_line(error)
        print(f"PyTorch and what else bnexp trains with cannot be imported ({reason}):")
        print("pip install --force-reinstall torch torchvision, or a fresh environment")
        return 1

    with Composer(
        options.config_dir, options.overrides, allow_code=options.allow_code
    ) as composer:
        single(options.overrides, composer.options, "bnexp doctor checks")
        config, _ = composer.compose(completed(options.overrides))
    if not isinstance(config.engine, Local):
        raise UsageError(
            "bnexp doctor checks this machine: call it on each of those that train, without "
            f"engine={config.engine.name}"
        )
    devices = resolve(config.device)
    width = shutil.get_terminal_size().columns
    verdicts: list[str] = []
    for section in examine(config, devices):
        print(section.title)
        for finding in section.findings:
            verdicts.append(finding.verdict)
            head = f"  {finding.verdict:<4}  "
            print(
                textwrap.fill(
                    finding.text,
                    width,
                    initial_indent=head,
                    subsequent_indent=" " * len(head),
                    break_long_words=False,
                    break_on_hyphens=False,
                ),
                flush=True,
            )
    wrong = verdicts.count("FAIL")
    faults = counted(wrong, "fault") if wrong else "no fault"
    print(f"{faults} in {len(verdicts)} findings")
    return 1 if wrong else 0
