/* A disk that keeps only what was synced, and that fails when it is told to; for LD_PRELOAD.

   DISK_FOLDER    what lies in this folder is on our disk; nothing else is touched
   DISK_JOURNAL   a folder. Its file `journal` gets a line for each thing a power cut decides on:
                      new INODE          a file was made; its inode may have been another file's
                      synced INODE BLOB  the bytes of a file were synced; BLOB is a copy of them
                      failed INODE       a file could not be synced
                      folder INODE BLOB  the names in a folder were synced; BLOB lists them
                      moved INODE PATH   a file is about to be renamed
                      named INODE PATH   a file got one more name
   DISK_TROUBLE   a file with one line, CALL NUMBER, while there is trouble:
                      open, write, fsync, fsync-folder, link, unlink, statvfs  fail with this errno
                      readonly           all that changes something fails with it
                      short              writes take half of what they are given
                      room               statvfs tells so many bytes
                      lose, lose-folder  a file's, a folder's fsync does nothing and succeeds

   What is on the disk is read before the real call, so nothing counts as synced that came while it
   ran. It is read by one at a time, and a blob's name begins with when: of two syncs of one file the
   one that was read first may end last, and takes nothing back. tests/crash/disk.py plays the journal back. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int ours(const char *path) {
    const char *folder = getenv("DISK_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static int ours_fd(int fd) {
    char path[PATH_MAX];
    return ours(path_of(fd, path));
}

static int ours_at(int folder, const char *name) {
    return name[0] == '/' ? ours(name) : folder != AT_FDCWD && ours_fd(folder);
}

/* The number that belongs to `call` while it is in trouble; 0 else. */
static long trouble(const char *call) {
    int kept = errno;
    char line[64] = "", name[32] = "";
    long number = 0;
    const char *file = getenv("DISK_TROUBLE");
    int fd = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (syscall(SYS_read, fd, line, sizeof line - 1) > 0) sscanf(line, "%31s %ld", name, &number);
        close(fd);
    }
    errno = kept;
    return strcmp(name, call) == 0 ? number : 0;
}

/* Does the call fail just now? Sets errno. */
static int fails(const char *call) {
    long number = trouble(call);
    if (number) errno = (int)number;
    return number != 0;
}

/* The same for a call that changes the disk. */
static int refuses(const char *call) { return fails(call) || fails("readonly"); }

static int in_journal(const char *name, int flags) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", getenv("DISK_JOURNAL"), name);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CREAT | O_CLOEXEC, 0600);
}

/* One write to a file opened for appending: lines of several processes do not mix. */
static void note(const char *what, unsigned long inode, const char *rest) {
    char line[2 * PATH_MAX + 64];
    int kept = errno, length;
    length = snprintf(line, sizeof line, "%s %lu %s\n", what, inode, rest);
    int fd = in_journal("journal", O_WRONLY | O_APPEND);
    if (syscall(SYS_write, fd, line, length) != length) abort();
    close(fd);
    errno = kept;
}

static unsigned long inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

/* Note the path that the file at `name` gets. */
static void note_path(const char *what, int from, const char *name, int to, const char *made) {
    struct stat found;
    char path[PATH_MAX] = "", whole[2 * PATH_MAX];
    if (made[0] != '/') strcat(path_of(to, path), "/");
    snprintf(whole, sizeof whole, "%s%s", path, made);
    if (fstatat(from, name, &found, 0) == 0) note(what, found.st_ino, whole);
}

/* Open a blob under a name that nobody has, and tell the name; names begin with the time. */
static int new_blob(char *name, size_t size) {
    static int count;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(name, size, "%lld-%d-%d", now.tv_sec * 1000000000LL + now.tv_nsec, getpid(),
             __sync_add_and_fetch(&count, 1));
    return in_journal(name, O_WRONLY | O_TRUNC);
}

static void copy_bytes(int fd, char *blob, size_t size) {
    char link[64], block[65536];
    ssize_t count;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    int to = new_blob(blob, size);
    while ((count = syscall(SYS_read, from, block, sizeof block)) > 0)
        if (syscall(SYS_write, to, block, count) != count) abort();
    close(from);
    close(to);
}

static void copy_names(int fd, char *blob, size_t size) {
    char path[PATH_MAX];
    int to = new_blob(blob, size);
    DIR *folder = opendir(path_of(fd, path));
    dprintf(to, "%s\n", path);
    for (struct dirent *each; folder && (each = readdir(folder));)
        if (strcmp(each->d_name, ".") && strcmp(each->d_name, ".."))
            dprintf(to, "%lu %s%s\n", (unsigned long)each->d_ino, each->d_name,
                    each->d_type == DT_DIR ? "/" : "");
    if (folder) closedir(folder);
    close(to);
}

static int sync_with(long number, int fd) {
    struct stat found;
    char blob[64];
    if (fstat(fd, &found) || !ours_fd(fd)) return (int)syscall(number, fd);
    int folder = S_ISDIR(found.st_mode);
    if (trouble(folder ? "lose-folder" : "lose")) return 0;
    if (refuses(folder ? "fsync-folder" : "fsync")) {
        note("failed", found.st_ino, "");
        return -1;
    }
    int alone = in_journal("lock", O_WRONLY);
    flock(alone, LOCK_EX);
    (folder ? copy_names : copy_bytes)(fd, blob, sizeof blob);
    close(alone);
    if (syscall(number, fd)) return -1;
    note(folder ? "folder" : "synced", found.st_ino, blob);
    return 0;
}

int fsync(int fd) { return sync_with(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int writes = flags & (O_WRONLY | O_RDWR | O_CREAT);
    if (!ours_at(folder, path)) return (int)syscall(SYS_openat, folder, path, flags, mode);
    if (writes && refuses("open")) return -1;
    int makes = (flags & O_TMPFILE) == O_TMPFILE ||
                ((flags & O_CREAT) && faccessat(folder, path, F_OK, 0) != 0);
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && makes) note("new", inode_of(fd), "");
    return fd;
}

#define MODE(flags)                                                \
    mode_t mode = 0;                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                         \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                              \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }

/* -1 when the write fails, 1 when it shall be short, 0 when all is well. */
static int hindered(int fd) {
    if (!ours_fd(fd)) return 0;
    return refuses("write") ? -1 : trouble("short") != 0;
}

ssize_t write(int fd, const void *data, size_t size) {
    int how = hindered(fd);
    return how < 0 ? -1 : syscall(SYS_write, fd, data, how ? (size + 1) / 2 : size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int how = hindered(fd);
    if (how <= 0) return how < 0 ? -1 : syscall(SYS_writev, fd, parts, count);
    return syscall(SYS_write, fd, parts[0].iov_base, (parts[0].iov_len + 1) / 2);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return hindered(fd) < 0 ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

int linkat(int from, const char *name, int to, const char *made, int flags) {
    if (ours_at(to, made) && refuses("link")) return -1;
    if (syscall(SYS_linkat, from, name, to, made, flags)) return -1;
    if (ours_at(to, made)) note_path("named", to, made, to, made);
    return 0;
}

int link(const char *name, const char *made) { return linkat(AT_FDCWD, name, AT_FDCWD, made, 0); }

int renameat2(int from, const char *name, int to, const char *made, unsigned flags) {
    if (ours_at(to, made) && refuses("link")) return -1;
    if (ours_at(to, made)) note_path("moved", from, name, to, made);
    return (int)syscall(SYS_renameat2, from, name, to, made, flags);
}

int rename(const char *name, const char *made) { return renameat2(AT_FDCWD, name, AT_FDCWD, made, 0); }
int renameat(int from, const char *name, int to, const char *made) { return renameat2(from, name, to, made, 0); }

int unlinkat(int folder, const char *name, int flags) {
    return ours_at(folder, name) && refuses("unlink") ? -1 : (int)syscall(SYS_unlinkat, folder, name, flags);
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int mkdir(const char *name, mode_t mode) {
    return ours(name) && refuses("link") ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

static int with_room(const char *call, const char *path, struct statvfs *found) {
    int (*real)(const char *, struct statvfs *) =
        (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, call);
    if (ours(path) && fails("statvfs")) return -1;
    int answer = real(path, found);
    long room = ours(path) ? trouble("room") : 0;
    if (room) found->f_bavail = found->f_bfree = (fsblkcnt_t)room / found->f_frsize;
    return answer;
}

int statvfs(const char *path, struct statvfs *found) { return with_room("statvfs", path, found); }
int statvfs64(const char *path, struct statvfs64 *found) {
    return with_room("statvfs64", path, (struct statvfs *)found);
}
