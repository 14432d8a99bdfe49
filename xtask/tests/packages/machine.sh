# A copy of this machine that is gone when its last process ends: the file system lies under a layer in memory, and mounts,
# processes and names are its own. What it says to the kernel itself (/proc/sys, /sys) is not heard.
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
# Nothing of this machine's own is started, nor is bridgehead there yet.
rm -rf etc/systemd/system/*.wants etc/bridgehead var/lib/bridgehead usr/sbin/policy-rc.d var/log/journal
# A service that is to have users of its own must not live in a `chroot`; credentials reach it over a shared mount.
mkdir old
pivot_root . old
exec chroot . env -i container=test TERM=dumb LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c 'umount --lazy /old && rmdir /old && mount --make-rshared / && touch /ready && exec "$@"' sh "$@"
