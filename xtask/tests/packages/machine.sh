# A copy of this machine that disappears when its last process ends: its file system is a writable layer in memory on top of this
# machine's, and its mounts, processes and names are separate. Changes to the kernel itself (/proc/sys, /sys) have no effect.
#   machine.sh FOLDER COMMAND…
set -eu
here=$1
shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$here"
mkdir "$here/upper" "$here/work" "$here/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" "$here/root"
cd "$here/root"
mount -t proc proc proc
mount --bind -o ro proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
# None of this machine's services is started, and bridgehead is not installed yet.
rm -rf etc/systemd/system/*.wants etc/bridgehead var/lib/bridgehead usr/sbin/policy-rc.d var/log/journal
# A service with separate users must not run in a `chroot`; credentials reach it through a shared mount.
mkdir old
pivot_root . old
exec chroot . env -i container=test TERM=dumb LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c 'umount --lazy /old && rmdir /old && mount --make-rshared / && touch /ready && exec "$@"' sh "$@"
