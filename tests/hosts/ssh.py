"""OpenSSH servers on hosts, and one key for all of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.hosts.host import DISK, Host

SERVER = "/usr/sbin/sshd"
CONFIGURATION = f"""
ListenAddress 0.0.0.0
HostKey {DISK}/ssh/host_key
PidFile {DISK}/ssh/pid
AuthorizedKeysFile {DISK}/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
MaxStartups 100
SetEnv TMPDIR={DISK}
"""


def missing_ssh() -> str | None:
    """The reason why `ray up` cannot run here, which is a missing program, or None."""
    absent = [name for name in (SERVER, "ssh", "ssh-keygen", "rsync") if not shutil.which(name)]
    return f"needs {', '.join(absent)} (Debian: openssh-server, openssh-client, rsync)" if absent else None


def make_key(path: Path) -> Path:
    """Create a private key at ``path`` and its public key beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def serve_ssh(host: Host, key: Path) -> None:
    """Allow root logins to the host by ``key``. Call it again after the host was switched off."""
    folder = host.disk / "ssh"
    folder.mkdir(exist_ok=True, mode=0o700)
    (folder / "sshd_config").write_text(CONFIGURATION)
    shutil.copy(key.with_name(f"{key.name}.pub"), folder / "authorized_keys")
    if not (folder / "host_key").exists():
        make_key(folder / "host_key")
    host.run("mkdir", "-p", "/run/sshd")
    host.run(SERVER, "-f", f"{DISK}/ssh/sshd_config")
