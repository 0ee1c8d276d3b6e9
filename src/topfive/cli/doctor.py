"""`topfive doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

COLUMN = 19
SIGNS = {True: "ok", False: "FAILED", None: "-"}


@click.command()
@click.option(
    "-f", "--format", default="text", show_default=True, type=click.Choice(("text", "json"))
)
def doctor(format: str) -> int:
    """Say what is installed and what works.

    Ends with a self-test and a verdict: on each device of OpenVINO and each installed backend,
    the network that comes along has to give the answers that are stored with the package. The
    exit status is 3 if something that is needed does not work.
    """
    from topfive.cli.doctor_checks import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if format == "text":
            click.echo(f"{SIGNS[finding.works]:<7}{finding.subject:<{COLUMN}}{finding.text}")
    if format == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    return 3 if any(finding.works is False for finding in findings) else 0
