#!/bin/sh
# The sandbox on aarch64: its tests and HumanEval's reference solutions under Debian's arm64 kernel, emulated by QEMU.
#
#     tests/on_aarch64.sh
#
# Needs Linux, root (debootstrap unpacks as root), network, some 2 GB of disk and 3 GB of memory, half an hour, and:
#     apt-get install --no-install-recommends debootstrap qemu-system-arm ipxe-qemu cpio
# $DEBIAN_MIRROR is where packages come from, $BUILD (build/aarch64) where they stay. Exit status 0: all passed.
#
# All runs from an initial RAM disk, so that the kernel needs no driver, and no package is configured.
set -eu
cd "$(dirname "$0")/.."
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
build=${BUILD:-build/aarch64}
packages=python3,python3-pytest,python3-hypothesis,linux-image-arm64

if [ ! -e "$build/unpacked" ]; then
    rm -rf "$build" && mkdir -p "$build"
    debootstrap --foreign --arch=arm64 --variant=minbase --include="$packages" trixie "$build/root" "$mirror"
    for package in "$build"/root/var/cache/apt/archives/*.deb; do
        dpkg-deb --extract "$package" "$build/root"
    done
    mv "$build"/root/boot/vmlinuz-* "$build/vmlinuz"
    (cd "$build/root" && rm -rf boot debootstrap usr/lib/modules usr/share/doc usr/share/locale var/cache)
    touch "$build/unpacked"
fi

# What needs nothing but the sandbox and pytest, each file by itself. Left out is what holds programs to a few seconds of
# the processor, which are too few where it is emulated.
names="syscalls walls memory codec foresee chunks escapes attacks"
left_out="decides or wears_the_judge_out"
project=$build/root/project
rm -rf "$project" && mkdir -p "$project/tests"
cp -r sandbox "$project/"
cp tests/test_sandbox_*.py tests/untrusted.py tests/references.py "$project/tests/"
.venv/bin/python tests/references.py > "$project/references.jsonl"

cat > "$build/root/init" <<END
#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 PYTHONPATH=/project PYTHONPYCACHEPREFIX=/tmp/cache
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mkdir /dev/shm; mount -t tmpfs shm /dev/shm
cd /project
uname -srm; python3 --version; failed=0
python3 tests/references.py references.jsonl || failed=1
for name in $names; do
    echo "== \$name"
    python3 -m pytest -q -c /dev/null --rootdir . --noconftest -p no:cacheprovider \\
        -k "not ($left_out)" tests/test_sandbox_\$name.py || failed=1
done
echo "failed: \$failed"
echo o > /proc/sysrq-trigger; sleep 60
END
chmod +x "$build/root/init"
(cd "$build/root" && find . | cpio --create --format=newc --quiet) | gzip -1 > "$build/initrd.gz"
qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on -smp 2 -m 3072 -accel tcg,thread=multi -nographic -no-reboot \
    -kernel "$build/vmlinuz" -initrd "$build/initrd.gz" -append "console=ttyAMA0 rdinit=/init panic=-1 quiet" |
    tee "$build/log"
grep -q "^failed: 0" "$build/log"
