#!/bin/sh
# Installs or upgrades Bleedwatch on this machine, as root: `make install`. Settings and records stay as they are.
# PREFIX: where the program stands, /opt/bleedwatch by default. PYTHON: 3.11 to 3.13, python3 by default. EXTRAS=build adds
# what makes an engine ready for a graphics card; upgrades keep it, until EXTRAS= names none.
set -eu
umask 022

prefix=${PREFIX:-/opt/bleedwatch}
python=${PYTHON:-python3}
extras=${EXTRAS-$(cat "$prefix/extras" 2>/dev/null || :)}
config=/etc/bleedwatch/bleedwatch.toml
here=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
give_up() { say "$*"; exit 1; }

[ "$(id -u)" = 0 ] || give_up "This needs root: sudo make install"
command -v systemd-sysusers >/dev/null || give_up "There is no systemd here. Run it by hand instead: bleedwatch run"
"$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  give_up "Bleedwatch needs Python 3.11, 3.12 or 3.13 with venv: apt install python3-venv, or make install PYTHON=python3.12"

# Everything is fetched and built beside what runs: if that fails, nothing has changed.
work=$(mktemp -d)
stopped=no
finish() {
  rm -rf "$work" "$prefix/venv.new"
  [ "$stopped" = yes ] || return 0
  # It went wrong half-way. What ran before runs again: a box that stands still tells nobody.
  if [ ! -d "$prefix/venv" ] && [ -d "$prefix/venv.old" ]; then mv "$prefix/venv.old" "$prefix/venv"; fi
  systemctl start bleedwatch.target || say "The programs do not run. Start them: systemctl start bleedwatch.target"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
say "Fetching and building ..."
mkdir "$work/source"
cp -R "$here/appliance" "$here/engines" "$here/pyproject.toml" "$here/README.md" "$here/LICENSE" "$here/NOTICE" "$work/source"
"$python" -m venv --clear "$prefix/venv.new"
pip() { "$prefix/venv.new/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
pip install --require-hashes -r "$here/requirements-box.lock"
pip install --no-deps "$work/source"
[ -z "$extras" ] || pip install "$work/source[$extras]"
sed -i "1s|$prefix/venv.new/|$prefix/venv/|" "$prefix/venv.new/bin/bleedwatch" # where it will stand

say "User, folders, settings ..."
for kind in sysusers tmpfiles; do
  install -D -m 644 "$here/systemd/$kind.d/bleedwatch.conf" "/usr/local/lib/$kind.d/bleedwatch.conf"
done
systemd-sysusers bleedwatch.conf
systemd-tmpfiles --create bleedwatch.conf
# Secrets and passwords are for the courier: the units of the others do not see their folder.
install -d -m 750 -g bleedwatch "$(dirname "$config")" "$(dirname "$config")/secrets"

running=$(systemctl is-active bleedwatch.target 2>/dev/null || true)
if [ "$running" = active ]; then
  stopped=yes
  say "Stopping the programs: for a few seconds nobody is told of a bleed ..."
  # All by name: systemctl waits for what it is told of, and the target is gone before its programs are.
  systemctl stop bleedwatch.target bleedwatch-triage bleedwatch-courier bleedwatch-dashboard
fi
rm -rf "$prefix/venv.old"
[ ! -d "$prefix/venv" ] || mv "$prefix/venv" "$prefix/venv.old"
mv "$prefix/venv.new" "$prefix/venv"
if [ ! -e "$config" ]; then
  "$prefix/venv/bin/bleedwatch" init "$config" >/dev/null
  chgrp bleedwatch "$config"
  chmod 640 "$config"
fi
if ! runuser -u bleedwatch -- "$prefix/venv/bin/bleedwatch" db upgrade --config "$config"; then
  # The records are as they were: an upgrade is one transaction.
  if [ -d "$prefix/venv.old" ]; then
    rm -rf "$prefix/venv"
    mv "$prefix/venv.old" "$prefix/venv"
  fi
  give_up "The records could not be upgraded, so what was installed before stands as it was."
fi

ln -sf "$prefix/venv/bin/bleedwatch" /usr/local/bin/bleedwatch
install -m 644 "$here/build_engine.py" "$prefix/build_engine.py"
printf '%s\n' "$extras" >"$prefix/extras"
units=/usr/local/lib/systemd/system
install -d "$units/bleedwatch-.service.d"
install -m 644 "$here/systemd/bleedwatch-.service.d/10-appliance.conf" "$units/bleedwatch-.service.d/"
for unit in bleedwatch.target bleedwatch-triage.service bleedwatch-courier.service bleedwatch-dashboard.service; do
  sed "s|/opt/bleedwatch/|$prefix/|" "$here/systemd/$unit" >"$units/$unit"
done
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi

if [ "$running" = active ]; then
  systemctl start bleedwatch.target
  stopped=no
  say "The programs run again. Look at them: sudo -u bleedwatch bleedwatch doctor"
else
  say "Settings: $config. Then: systemctl enable --now bleedwatch.target"
fi
rm -rf "$prefix/venv.old"
