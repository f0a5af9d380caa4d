#!/bin/sh
# Becomes a small machine's init, in namespaces of its own: nothing that it does reaches the machine around it.
# /etc, /var and /opt are copies on write, /run and /tmp are empty, everything else is read-only, and of the
# units of the machine around it none is known: their tmpfiles, sysctl or binfmt jobs would reach out.
# Arguments: a folder for /etc/gluon-edge, the Python installation, its packages, the repository.
set -eu
given=$1 python=$2 packages=$3 repository=$4
mount -t tmpfs tmpfs /run
cp -r "$given" /run/given
for top in etc var opt; do
    mkdir -p "/run/overlay/$top/upper" "/run/overlay/$top/work"
    mount -t overlay overlay -o "lowerdir=/$top,upperdir=/run/overlay/$top/upper,workdir=/run/overlay/$top/work" "/$top"
done
mkdir -p /opt/python /opt/packages /opt/repository/edge /opt/gluon-edge/bin /etc/gluon-edge /run/units /run/systemd/system
mount --bind "$python" /opt/python
mount --bind "$packages" /opt/packages
# Only the package: a checkout may lie in a folder that nobody but its owner can enter.
mount --bind "$repository/edge" /opt/repository/edge
mount -t tmpfs tmpfs /tmp
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
for fixed in / /proc/sys /opt/python /opt/packages /opt/repository/edge; do
    mount -o remount,bind,ro "$fixed"
done
if touch /usr/.writable /opt/repository/edge/.writable 2> /dev/null; then
    echo "the machine around is not out of reach" >&2
    exit 1
fi
cp -r /run/given/. /etc/gluon-edge/
chmod -R a+rX /etc/gluon-edge
chmod 600 /etc/gluon-edge/*.password
# An environment as `python3 -m venv /opt/gluon-edge` makes it.
ln -s /opt/python/bin/python3 /opt/gluon-edge/bin/python3
printf 'home = /opt/python/bin\n' > /opt/gluon-edge/pyvenv.cfg
cat > /opt/gluon-edge/bin/gluon-edge <<'END'
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
PYTHONPATH=/opt/repository:/opt/packages exec /opt/gluon-edge/bin/python3 -m edge "$@"
END
chmod 755 /opt/gluon-edge/bin/gluon-edge
rm -rf /etc/systemd/system/* /var/lib/private/* /var/lib/gluon-edge*
for name in nothing sysinit basic shutdown umount network multi-user; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$name" > "/run/units/$name.target"
done
# Credentials are mounted elsewhere and have to arrive here; a container is expected to come like this.
mount --make-rshared /
export SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/units container=docker
exec /lib/systemd/systemd --system --unit=nothing.target --log-target=null --show-status=0
