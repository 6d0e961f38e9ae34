# shellcheck shell=sh
# Runs a relay where it is alone: process 1 of its own process and mount namespaces, in a file system
# of its own memory. Whatever ends this shell ends the relay and all its children, and leaves no file.
#
#   apart.sh <name> <memory> <packages> <settings> <program> <argument>…
#
# <memory>: an empty directory. <packages>: a directory with usr/ and etc/, or nothing if the relay is
# installed. <settings>: a directory that is copied to /etc/<name>. The relay ends when our standard
# input does.
set -eu
umask 022
name=$1 memory=$2 packages=$3 settings=$4
shift 4
exec 3<&0 </dev/null

mount -t tmpfs -o mode=755 "mailroom-$name" "$memory"
cd "$memory"
mkdir etc work run spool lib
mount -t overlay -o "lowerdir=/etc,upperdir=$memory/etc,workdir=$memory/work" overlay /etc
[ -z "$packages" ] || mount -t overlay -o "lowerdir=$packages/usr:/usr" overlay /usr
mount -t proc proc /proc
mount --bind run /run
mount --bind spool /var/spool
mount --bind lib /var/lib

user() { # <name> <number> <home>
    grep -q "^$1:" /etc/group || echo "$1:x:$2:" >>/etc/group
    grep -q "^$1:" /etc/passwd || echo "$1:x:$2:$2::$3:/usr/sbin/nologin" >>/etc/passwd
}
case $name in
postfix)
    user postfix 2101 /var/spool/postfix
    user postdrop 2102 /nonexistent
    mkdir -p /var/spool/postfix /var/lib/postfix
    chown postfix /var/lib/postfix
    ;;
opensmtpd)
    user opensmtpd 2103 /var/lib/opensmtpd/empty
    user opensmtpq 2104 /var/lib/opensmtpd/empty
    mkdir -p /var/lib/opensmtpd/empty
    ;;
*) exit 64 ;;
esac
mkdir -p "/etc/$name"
for from in "$packages/etc/$name" "$settings"; do
    [ ! -d "$from" ] || cp -R "$from/." "/etc/$name"
done
chown -R root:root "/etc/$name"

"$@" 3<&- &
relay=$!
(cat <&3 >/dev/null; kill -KILL "$relay") &
wait "$relay"
