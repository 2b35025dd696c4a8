"""ML-KEM-768 (FIPS 203) as far as the library does not go: encapsulation with its 32 random bytes given.

With them a vector can be made again, byte for byte. Decapsulation, which draws nothing, is the library's.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

from tests.reference.primitives import RefusedError, demand

Q = 3329
N = 256
RANK = 3
U_BITS, V_BITS = 10, 4
PUBLIC_SIZE = 384 * RANK + 32
CIPHERTEXT_SIZE = 32 * (U_BITS * RANK + V_BITS)
Polynomial = list[int]


def public_of(seed: bytes) -> bytes:
    """The encapsulation key of a seed (d, z) of 64 bytes."""
    return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def decapsulate(seed: bytes, ciphertext: bytes) -> bytes:
    """The shared secret; a ciphertext that is wrong gives another one, never an error."""
    try:
        return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
    except ValueError as error:
        raise RefusedError("another length") from error


def encapsulate(public: bytes, message: bytes) -> tuple[bytes, bytes]:
    """Return shared secret and ciphertext (algorithm 17)."""
    check_public(public)
    keys = hashlib.sha3_512(message + hashlib.sha3_256(public).digest()).digest()
    return keys[:32], _encrypt(public, message, keys[32:])


def check_public(public: bytes) -> None:
    """The check of section 7.2: the length is right and every coefficient is below q."""
    demand(len(public) == PUBLIC_SIZE, "another length")
    demand(all(value < Q for value in _decode(public[:-32], 12)), "a coefficient that is not below q")


def _encrypt(public: bytes, message: bytes, randomness: bytes) -> bytes:
    """K-PKE.Encrypt (algorithm 14)."""
    coefficients, rho = _decode(public[:-32], 12), public[-32:]
    t = [coefficients[N * i : N * (i + 1)] for i in range(RANK)]
    y = [_ntt(_noise(randomness, i)) for i in range(RANK)]
    u = []
    for i in range(RANK):
        # The matrix is used the other way round here: row i of the transposed one.
        product = _dot([_uniform(rho, i, j) for j in range(RANK)], y)
        u.append(_add(_inverse_ntt(product), _noise(randomness, RANK + i)))
    bits = [value * -(-Q // 2) for value in _decode(message, 1)]
    v = _add(_add(_inverse_ntt(_dot(t, y)), _noise(randomness, 2 * RANK)), bits)
    return b"".join(_compressed(part, U_BITS) for part in u) + _compressed(v, V_BITS)


def _decode(data: bytes, width: int) -> Polynomial:
    whole = int.from_bytes(data, "little")
    return [whole >> (width * i) & (1 << width) - 1 for i in range(len(data) * 8 // width)]


def _compressed(values: Polynomial, width: int) -> bytes:
    # Round to the nearest of 2^width steps; (2 x 2^width + q) / 2q rounded down is that without fractions.
    steps = [((value << width + 1) + Q) // (2 * Q) % (1 << width) for value in values]
    whole = sum(step << width * i for i, step in enumerate(steps))
    return whole.to_bytes(len(values) * width // 8, "little")


def _uniform(rho: bytes, column: int, row: int) -> Polynomial:
    """SampleNTT (algorithm 7); the two indices follow rho."""
    stream = hashlib.shake_128(rho + bytes([column, row])).digest(3 * N * 2)
    values: Polynomial = []
    for place in range(0, len(stream), 3):
        first, second, third = stream[place : place + 3]
        values += [value for value in (first + 256 * (second % 16), second // 16 + 16 * third) if value < Q]
    return values[:N]


def _noise(randomness: bytes, count: int) -> Polynomial:
    """SamplePolyCBD with eta = 2 (algorithm 8)."""
    bits = _decode(hashlib.shake_256(randomness + bytes([count])).digest(128), 1)
    return [(bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % Q for i in range(N)]


def _reversed_bits(value: int) -> int:
    return int(f"{value:07b}"[::-1], 2)


def _ntt(values: Polynomial) -> Polynomial:
    """Algorithm 9."""
    f, index, length = list(values), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta = pow(17, _reversed_bits(index), Q)
            index += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
        length //= 2
    return f


def _inverse_ntt(values: Polynomial) -> Polynomial:
    """Algorithm 10."""
    f, index, length = list(values), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta = pow(17, _reversed_bits(index), Q)
            index -= 1
            for j in range(start, start + length):
                f[j], f[j + length] = (f[j] + f[j + length]) % Q, zeta * (f[j + length] - f[j]) % Q
        length *= 2
    return [value * 3303 % Q for value in f]


def _add(one: Polynomial, other: Polynomial) -> Polynomial:
    return [(a + b) % Q for a, b in zip(one, other, strict=True)]


def _dot(ones: list[Polynomial], others: list[Polynomial]) -> Polynomial:
    """The sum of MultiplyNTTs (algorithm 11) over two vectors."""
    total = [0] * N
    for f, g in zip(ones, others, strict=True):
        for i in range(N // 2):
            gamma = pow(17, 2 * _reversed_bits(i) + 1, Q)
            a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            total[2 * i] = (total[2 * i] + a * c + b * d * gamma) % Q
            total[2 * i + 1] = (total[2 * i + 1] + a * d + b * c) % Q
    return total
