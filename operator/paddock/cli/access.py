"""How a command reaches the cluster: kubectl's options, the session, and refusals as exit codes.

I/O. Commands take one `Target`; what they do with the session is theirs.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from paddock.cli.exits import CommandError, Exit, NoAccessError

if TYPE_CHECKING:
    from paddock.kube.user import UserCluster

_T = TypeVar("_T")
_REFUSED = frozenset({0, 401, 403})
"""No answer at all, not known, not allowed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster and namespace, as asked on the command line; None is the kubeconfig's own."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection, and the namespace to work in."""

    user: "UserCluster"
    namespace: str


_OPTIONS = (
    click.option(
        "--kubeconfig", type=click.Path(), help="By default KUBECONFIG or ~/.kube/config."
    ),
    click.option("--context", help="The kubeconfig's context to use."),
    click.option("-n", "--namespace", help="By default the context's."),
)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command kubectl's options, handed over as one `target`."""

    @functools.wraps(command)
    def called(
        *,
        kubeconfig: str | None,
        context: str | None,
        namespace: str | None,
        **others: object,
    ) -> None:
        command(target=Target(kubeconfig, context, namespace), **others)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


def with_cluster(target: Target, work: Callable[[Session], Awaitable[_T]]) -> _T:
    """Run the work with a session; refusals of the cluster end the command with their code."""
    from paddock.errors import ApiError, NotFoundError  # noqa: PLC0415 - not for --help
    from paddock.kube.user import AccessError  # noqa: PLC0415 - not for --help

    try:
        return asyncio.run(_with_session(target, work))
    except AccessError as error:
        raise NoAccessError(str(error)) from error
    except NotFoundError as error:
        raise CommandError(_not_found(error)) from error
    except ApiError as error:
        kind = NoAccessError if error.status in _REFUSED else CommandError
        raise kind(str(error)) from error
    except KeyboardInterrupt:
        click.echo(err=True)
        raise SystemExit(int(Exit.INTERRUPTED)) from None


async def _with_session(target: Target, work: Callable[[Session], Awaitable[_T]]) -> _T:
    from paddock.kube.user import connect_user  # noqa: PLC0415 - not for --help

    user = await connect_user(target.kubeconfig, target.context)
    try:
        return await work(Session(user, target.namespace or user.namespace))
    finally:
        await user.cluster.close()


def _not_found(error: Exception) -> str:
    if "the server could not find the requested resource" in str(error):
        return "This cluster does not know LocalModel and InferencePool: install Paddock first."
    return str(error)
