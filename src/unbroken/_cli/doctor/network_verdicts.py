"""Judges what was found in the network, without I/O."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unbroken._cli.doctor.finding import Finding, failed, noted, passed

if TYPE_CHECKING:
    from unbroken._cli.doctor.network import Connected, Handshake, Resolved, Tunnel

__all__ = ["judge_connection", "judge_name", "judge_tls", "judge_tunnel"]

_ASK_FOR_PROXY = "ask whether this network has a proxy, and set HTTPS_PROXY"


def judge_name(found: Resolved) -> Finding:
    """Judge how a name resolves."""
    if found.error is None:
        count = len(found.addresses)
        many = "1 address" if count == 1 else f"{count} addresses"
        return passed(f"{found.host} has {many}", addresses=count)
    if isinstance(found.error, socket.gaierror) and found.error.errno == socket.EAI_AGAIN:
        return failed(
            f"the name server does not answer for {found.host}",
            f"check the network and /etc/resolv.conf; behind a proxy, {_ASK_FOR_PROXY}",
        )
    return failed(
        f"the name {found.host} does not resolve",
        f"check its spelling in the base URL or the proxy; behind a proxy, {_ASK_FOR_PROXY}",
    )


def judge_connection(found: Connected) -> Finding:
    """Judge how a connection was opened."""
    if found.error is None:
        return passed(f"{found.hop} answers after {_ms(found.seconds)}", seconds=found.seconds)
    setting = "the proxy's address in HTTPS_PROXY" if found.is_proxy else "the base URL"
    if isinstance(found.error, ConnectionRefusedError):
        return failed(
            f"{found.hop} refuses the connection: nobody listens there",
            f"check the host and the port of {setting}; start what should listen there",
        )
    if isinstance(found.error, TimeoutError):
        return failed(
            f"{found.hop} does not answer: a firewall drops the packets, or the host is down",
            f"allow outgoing TCP to {found.hop}, or {_ASK_FOR_PROXY}",
        )
    return failed(
        f"{found.hop} cannot be reached ({type(found.error).__name__})",
        f"check the network and its routes, and {setting}",
    )


def judge_tunnel(found: Tunnel) -> Finding:
    """Judge what a proxy says to CONNECT."""
    if found.status is not None and 200 <= found.status < 300:
        return passed(f"{found.hop} opens a tunnel")
    if found.status == 407 and found.has_password:
        return failed(
            f"{found.hop} refuses the user or the password (407)",
            "correct HTTPS_PROXY; percent-encode special characters of the password",
        )
    if found.status == 407:
        return failed(
            f"{found.hop} asks for a password (407)",
            "put it into HTTPS_PROXY: http://user:password@host:port",
        )
    if found.status is not None:
        return failed(
            f"{found.hop} refuses a tunnel ({found.status})",
            "ask who runs it to allow the API's host on port 443",
        )
    return failed(
        f"{found.hop} does not answer as a proxy does",
        "check the scheme, the host and the port in HTTPS_PROXY",
    )


# What OpenSSL says of a certificate, by its code.
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is issued by an authority that is not trusted here",
    20: "is issued by an authority that is not trusted here",
    21: "is issued by an authority that is not trusted here",
    62: "is for another host",
    64: "is for another address",
}
_TRUST = (
    "if this is your company's proxy or your own gateway, put its authority into a file and name "
    "that in SSL_CERT_FILE; if not, do not send a key over this network"
)
_TO_DO = {
    9: "set the clock of this machine",
    10: "check the clock of this machine; else who runs this host must renew the certificate",
    62: "check the host in the base URL; a captive portal or a proxy may answer in its place",
    64: "use the name of the host in the base URL, not its address",
}


def judge_tls(found: Handshake) -> Finding:
    """Judge how TLS began."""
    if found.error is not None:
        return _judge_no_tls(found, found.error)
    measured = {"issuer": found.issuer, "tls": found.version, "expires": _day(found.expires)}
    says = f"{found.version}, certificate by {found.issuer or 'nobody'}"
    if found.is_public is not False:
        return passed(f"{says}{', a public authority' if found.is_public else ''}", **measured)
    return noted(
        f"{says}, which is no public authority: who has it can read the traffic",
        "nothing, if that is your company's proxy or your own gateway",
        **measured,
    )


def _judge_no_tls(found: Handshake, error: OSError) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        issuer = f" (by {found.issuer})" if found.issuer else ""
        when = f" on {_day(found.expires)}" if code == 10 and found.expires else ""
        reason = _REASONS.get(code, "cannot be verified")
        return failed(
            f"the certificate of {found.host}{issuer} {reason}{when}",
            _TO_DO.get(code, _TRUST),
            issuer=found.issuer,
            verify_code=code,
        )
    if isinstance(error, ssl.SSLError):
        return failed(
            f"what answers for {found.host} does not speak TLS ({error.reason or 'no reason'})",
            "check that the base URL's scheme and port belong together (https and 443)",
        )
    if isinstance(error, TimeoutError):
        return failed(
            f"{found.host} takes the connection, and does not answer to TLS",
            "check that the base URL's scheme and port belong together (https and 443)",
        )
    return failed(
        f"the connection to {found.host} ends when TLS begins",
        f"a firewall may filter by name: ask for {found.host} to be allowed, or {_ASK_FOR_PROXY}",
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _day(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")
