# Sourced by build and load, after environment.sh and with `cache` set: the folder in which buildah works. All that is
# done in it happens under a lock, so that checkouts and users of one cache do not disturb each other. What lasts are the
# archives; here nothing stays but the newest base.
buildah_root=$cache/images/containers
b() { buildah --root "$buildah_root" --runroot "$cache/images/containers.run" --storage-driver "${SEATRIAL_STORAGE_DRIVER:-overlay}" "$@"; }

lock_images() { mkdir -p "$cache/images"; exec 6>"$cache/images/lock"; flock 6; }
unlock_images() { exec 6>&-; }

# reference_of ARCHIVE: the name that the image in it bears.
reference_of() { tar -xOf "$1" manifest.json | sed -n 's/.*"RepoTags":\["\([^"]*\)".*/\1/p'; }
