"""Asks gatehouse for the passwords of package repositories.

`gatehouse login` writes this file and names it in keyringrc.cfg, so that
Python's library keyring uses it, and with it Poetry, twine and others.
`gatehouse logout` removes both. This keyring stores nothing. For an address
that gatehouse does not know, it asks the keyring that would be used otherwise.
"""

import configparser
import functools
import importlib.util
import json
import os
import subprocess
import sys

from keyring import backend, core, credentials, errors
from keyring.backends import fail
from keyring.util import platform_

PROGRAM = "gatehouse"

# Python has written a compiled copy of this file, which logout would not remove.
try:
    _compiled = importlib.util.cache_from_source(__file__)
    os.remove(_compiled)
    os.rmdir(os.path.dirname(_compiled))
except (OSError, NotImplementedError):
    pass


class Keyring(backend.KeyringBackend):
    priority = 0  # so that it is only chosen by its name

    def get_credential(self, service, username):
        found = _ask(service, username)
        if found is not None:
            return found
        other = _other()
        if isinstance(other, fail.Keyring):  # it would end the search with an error
            return None
        return other.get_credential(service, username)

    def get_password(self, service, username):
        found = _ask(service, username)
        if found is not None:
            return found.password
        other = _other()
        if isinstance(other, fail.Keyring):
            return None
        return other.get_password(service, username)

    def set_password(self, service, username, password):
        other = _other()
        if isinstance(other, fail.Keyring):
            raise errors.PasswordSetError(
                "no keyring on this machine can store it; POETRY_KEYRING_ENABLED=false makes Poetry store it in its own file"
            )
        other.set_password(service, username, password)

    def delete_password(self, service, username):
        other = _other()
        if isinstance(other, fail.Keyring):
            raise errors.PasswordDeleteError("no keyring on this machine stores passwords")
        other.delete_password(service, username)


def _ask(service, username):
    """Returns gatehouse's credential for the address of a repository, or None."""
    if not str(service).startswith(("https://", "http://")):
        return None
    command = [PROGRAM, "credential", "keyring", "--mode=creds", "--output=json", "get", service]
    if username:
        command.append(username)
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    except OSError:  # the program was removed
        return None
    if answer.returncode != 0:
        return None
    found = json.loads(answer.stdout)
    return credentials.SimpleCredential(found["username"], found["password"])


@functools.lru_cache(maxsize=None)
def _other():
    """Returns the keyring that would be used if this one were not named."""
    config = configparser.RawConfigParser()
    config.read(os.path.join(str(platform_.config_root()), "keyringrc.cfg"), encoding="utf-8")
    path = config.get("gatehouse", "keyring-path", fallback="").strip()
    if path:
        sys.path.insert(0, os.path.expanduser(path))
    name = config.get("gatehouse", "default-keyring", fallback="").strip()
    if name:
        return core.load_keyring(name)
    others = (k for k in backend.get_all_keyring() if not isinstance(k, Keyring))
    return max(others, default=fail.Keyring(), key=backend.by_priority)
