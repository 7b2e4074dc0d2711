"""Which hosts are this machine: what is said to them is heard by nobody else."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine's loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
