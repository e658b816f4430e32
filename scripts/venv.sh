# Sourced by the scripts beside it, in the folder of the project: makes .venv.
# shellcheck shell=bash

python=.venv/bin/python

# Else every process would compile the package and the tests anew.
unset PYTHONDONTWRITEBYTECODE

find_python() {
    local candidate bare=
    for candidate in python3.13 python3.12 python3.11 python3.10 python3 python; do
        # A version manager's stand-in may exist for a Python that is not active: ask.
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            continue
        fi
        # Some distributions ship Python without venv, or venv without ensurepip.
        if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
        bare=${bare:-$candidate}
    done
    if [ -n "$bare" ]; then
        echo "$bare lacks venv or ensurepip; Debian and Ubuntu have them in python3-venv" >&2
    else
        echo "No Python from 3.10 on was found" >&2
    fi
    return 1
}

# What an installation depends on: when it changes, another one is due.
installed_from() {
    cat pyproject.toml hatch_build.py trio_draftws/drafts/*/*.[ch] | cksum
}

# prepare GROUP: a .venv with the project and that dependency group in it. What
# was installed before, alone or as part of dev, stays, unless pyproject.toml or
# what is built has changed since.
prepare() {
    local base wanted
    if ! "$python" -c '' >/dev/null 2>&1; then
        base=$(find_python)
        echo "Making .venv with $("$base" --version)"
        "$base" -m venv --clear .venv
    fi
    wanted=$(installed_from)
    if ! grep -qsxF "$wanted" ".venv/installed-for-$1" .venv/installed-for-dev; then
        echo "Installing the project and its group $1 into .venv"
        # --group is known to pip from 25.1 on.
        "$python" -m pip install --quiet --upgrade pip
        "$python" -m pip install --quiet --editable . --group "$1"
        echo "$wanted" >".venv/installed-for-$1"
    fi
}
