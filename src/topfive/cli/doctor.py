"""`topfive doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from topfive.cli import options, terminal

COLUMN = 19
SIGNS = {True: "ok", False: "FAILED", None: "-"}


@click.command()
@options.output_format("text", "json")
def doctor(format: str) -> int:
    """Check what is installed and whether it works.

    Runs a self-test on each OpenVINO device and each installed backend: the built-in network
    must give the answers stored with the package. The last line says whether topfive works.
    The exit status is 3 if something necessary does not work.

    \b
    Example:
      topfive doctor
    """
    from topfive.cli.doctor_checks import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if format == "text":
            terminal.say(f"{SIGNS[finding.works]:<7}{finding.subject:<{COLUMN}}{finding.text}")
    if format == "json":
        terminal.write_json([asdict(finding) for finding in findings])
    return 3 if any(finding.works is False for finding in findings) else 0
