"""TLS 1.3 without sockets: bytes from the network in, bytes for the network out.

The certificate is self-signed and pinned through the chain file, so there is no authority to trust and
no name to check.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import os
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from iirs.errors import ImpostorError, PeerError

_READ_CHUNK = 16384
RECORD_MAX = 16384
RECORD_OVERHEAD = 22
"""Per TLS 1.3 record: header (5), content type (1), tag (16)."""


def on_the_wire(plaintext_size: int) -> int:
    """Return how many bytes one write of this size takes on the wire."""
    return plaintext_size + -(-plaintext_size // RECORD_MAX) * RECORD_OVERHEAD


_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""
_VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_SignedBy = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def make_certificate() -> tuple[bytes, bytes]:
    """Return a fresh self-signed certificate and its private key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("iirs", "iirs", key.public_key(), key)
    return certificate.public_bytes(Encoding.PEM), _private_pem(key)


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePublicKey | Ed25519PublicKey,
    signer: _SignedBy,
    *,
    authority: bool | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_FROM.replace(year=2120))
    )
    if authority is not None:
        constraints = x509.BasicConstraints(ca=authority, path_length=0 if authority else None)
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(signer, None if isinstance(signer, Ed25519PrivateKey) else SHA256())


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_hash(pem: bytes) -> bytes:
    """Return the SHA-256 of a PEM certificate's DER form: what the chain file pins."""
    return hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest()


def server_context(certificate_pem: bytes, key_pem: bytes) -> ssl.SSLContext:
    """Return a context that speaks TLS 1.3 only and sends no session tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    _load_pair(context, certificate_pem, key_pem)
    return context


def _load_pair(context: ssl.SSLContext, certificate_pem: bytes, key_pem: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:  # ssl reads from files only; the folder is mode 0700
        path = Path(folder) / "pair.pem"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key_pem + certificate_pem)
        context.load_cert_chain(path)


def client_context() -> ssl.SSLContext:
    """Return a context that speaks TLS 1.3 only and leaves trust to ``TlsPipe.check_certificate``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def link_context(identity: Ed25519PrivateKey, neighbour: bytes, *, server_side: bool) -> ssl.SSLContext:
    """Return a context for the link between two hops: mutual TLS 1.3, pinned to both hops' identities.

    ``identity`` vouches for a fresh key of this process; ``neighbour`` is the other hop's Ed25519 public
    key, 32 bytes. OpenSSL checks during the handshake that the neighbour's identity signed the key it uses:
    it is given a trust anchor made of that public key alone. (An anchor's own signature is not checked, so
    nobody needs the neighbour's private key to make one.)
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME  # identities have no end, and a wrong clock is no stranger
    if server_side:
        context.num_tickets = 0
    own, other = (_issuer(key) for key in (identity.public_key().public_bytes_raw(), neighbour))
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _certificate("iirs link", own, key.public_key(), identity, authority=False)
    _load_pair(context, leaf.public_bytes(Encoding.PEM), _private_pem(key))
    public = Ed25519PublicKey.from_public_bytes(neighbour)
    anchor = _certificate(other, other, public, Ed25519PrivateKey.generate(), authority=True)
    context.load_verify_locations(cadata=anchor.public_bytes(Encoding.DER))
    return context


def _issuer(public: bytes) -> str:
    return f"iirs hop {public.hex()[:40]}"


class TlsBuffers:
    """Memory that TLS objects read from and write to. It never becomes smaller: 22 KB for a full record.

    Each call of a ``TlsPipe`` leaves it empty, so as many may share it as can wait for each other.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()


class TlsPipe:
    """One TLS connection over memory. Not thread-safe: callers hold one lock around every call."""

    __slots__ = ("_buffers", "_tls", "_waiting", "established")

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, buffers: TlsBuffers | None = None
    ) -> None:
        self._buffers = buffers or TlsBuffers()
        self._tls = context.wrap_bio(self._buffers.incoming, self._buffers.outgoing, server_side=server_side)
        self._waiting = b""
        self.established = False

    def start(self) -> None:
        """Begin the handshake; ``take_outgoing`` then has the first bytes of a client."""
        with self._in_buffers():
            self._handshake()

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the network; return the plaintext they complete. Raises ``PeerError``."""
        with self._in_buffers():
            self._buffers.incoming.write(data)
            if not self.established and not self._handshake():
                return b""
            plain = bytearray()
            try:
                while chunk := self._tls.read(_READ_CHUNK):
                    plain += chunk
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass  # nothing more for now, or the other end said goodbye: its socket will close
            except ssl.SSLError as error:
                raise PeerError("The encrypted connection to the server was disturbed.") from error
            return bytes(plain)

    def send(self, plaintext: bytes) -> None:
        """Encrypt; ``take_outgoing`` then has the bytes for the network. Raises ``PeerError``."""
        with self._in_buffers():
            try:
                self._tls.write(plaintext)
            except ssl.SSLError as error:  # the other end disturbed the connection before
                raise PeerError("The encrypted connection to the server was disturbed.") from error

    def take_outgoing(self) -> bytes:
        """Return all bytes waiting to go out, and forget them."""
        taken, self._waiting = self._waiting, b""
        return taken

    @contextlib.contextmanager
    def _in_buffers(self) -> Iterator[None]:
        """Have the buffers to oneself, and leave nothing in them, whatever happens."""
        with self._buffers.lock:
            try:
                yield
            finally:
                self._waiting += self._buffers.outgoing.read()
                # OpenSSL asks for more only when it has read all; what comes after a goodbye or an error is
                # nobody's.
                self._buffers.incoming.read()

    def check_certificate(self, expected: bytes) -> None:
        """Return if the server's certificate has this SHA-256. Raises ``ImpostorError`` if not."""
        der = self._tls.getpeercert(binary_form=True) or b""
        if not hmac.compare_digest(hashlib.sha256(der).digest(), expected):
            raise ImpostorError(
                "This server's certificate is not the one its chain file names. "
                "Someone may be in between: do not go on, ask the person who runs the server."
            )

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise PeerError(
                "What answers there is no iirs server: it does not speak TLS 1.3. Check the join link."
            ) from error
        self.established = True
        return True
