/* Logs what a process does to the files below a folder, and kills the process at a given operation.
 *
 * For LD_PRELOAD. POWER_CUT_FOLDER is the folder, as a canonical path; POWER_CUT_LOG is the file that the log is appended to, outside of
 * the folder; POWER_CUT_AT is the number of the operation that is not carried out any more: the process is killed instead. Child processes
 * are not logged.
 *
 * Each operation and its entry in the log are one step under a lock, so that the log has the order in which a disk would see them. Nothing
 * is really synced: log.rs and disk.rs decide what a power cut would have left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { CREATE = 1, FOLDER, WRITE, LENGTH, RENAME, UNLINK, NO_FOLDER, SYNC, SYNC_FOLDER, UNSUPPORTED };

struct header {
    uint32_t kind, path_length, other_length, data_length;
    uint64_t inode, offset;
    int64_t at;
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int log_file = -1;
static unsigned long cut_at, count;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_CUT_FOLDER"), *log = getenv("POWER_CUT_LOG"), *at = getenv("POWER_CUT_AT");
    if (!path || !log)
        return;
    cut_at = at ? strtoul(at, NULL, 10) : 0;
    log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_file < 0)
        abort();
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    unsetenv("LD_PRELOAD");
}

static int is_below(const char *path) {
    return folder_length && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

/* The path of an open file below the folder. */
static int file_is_below(int file, char path[PATH_MAX]) {
    char link[64];
    if (!folder_length || file < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int error = errno;
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = error;
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_below(path);
}

/* The absolute path of a name below the folder. */
static int name_is_below(int directory, const char *name, char path[PATH_MAX]) {
    char base[PATH_MAX];
    if (!folder_length || !name)
        return 0;
    if (name[0] == '/')
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && is_below(path);
    if (directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            return 0;
    } else if (!file_is_below(directory, base)) {
        return 0;
    }
    return snprintf(path, PATH_MAX, "%s/%s", base, name) < PATH_MAX && is_below(path);
}

/* Begins an operation, or ends the process. */
static void step(void) {
    pthread_mutex_lock(&one_at_a_time);
    if (cut_at && ++count >= cut_at) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

static void done(void) { pthread_mutex_unlock(&one_at_a_time); }

static void put(struct iovec *parts, int number) {
    ssize_t whole = 0;
    for (int part = 0; part < number; part++)
        whole += parts[part].iov_len;
    /* A regular file takes everything at once, unless its disk is full. */
    if (syscall(SYS_writev, log_file, parts, number) != whole)
        abort();
}

static void record(enum kind kind, const char *path, const char *other, uint64_t inode, uint64_t offset, const void *data, size_t length) {
    int error = errno;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct header header = {
        kind, strlen(path), other ? strlen(other) : 0, length, inode, offset, now.tv_sec * 1000000000LL + now.tv_nsec,
    };
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)path, header.path_length},
        {(void *)(other ? other : ""), header.other_length},
        {(void *)(data ? data : ""), length},
    };
    put(parts, 4);
    errno = error;
}

static void unsupported(const char *what, const char *path) { record(UNSUPPORTED, path, what, 0, 0, NULL, 0); }

static uint64_t inode_of(int file) {
    struct stat found;
    return fstat(file, &found) ? 0 : found.st_ino;
}

static int open_file(int directory, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat before;
    if ((flags & O_TMPFILE) == O_TMPFILE && name_is_below(directory, name, path))
        unsupported("O_TMPFILE", path);
    if (!(flags & (O_CREAT | O_TRUNC)) || !name_is_below(directory, name, path))
        return syscall(SYS_openat, directory, name, flags, mode);
    int exists = !fstatat(directory, name, &before, 0);
    if (exists && !(flags & O_TRUNC))
        return syscall(SYS_openat, directory, name, flags, mode);
    step();
    int file = syscall(SYS_openat, directory, name, flags, mode);
    if (file >= 0)
        record(exists ? LENGTH : CREATE, path, NULL, inode_of(file), 0, NULL, 0);
    done();
    return file;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = mode_of(flags, rest);                         \
        va_end(rest);                                               \
        return open_file(AT_FDCWD, path, flags, mode);              \
    }
#define OPEN_AT(name)                                               \
    int name(int directory, const char *path, int flags, ...) {     \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = mode_of(flags, rest);                         \
        va_end(rest);                                               \
        return open_file(directory, path, flags, mode);             \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

int creat(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* Where the next write without a position goes. */
static off_t position(int file) {
    struct stat found;
    int flags = syscall(SYS_fcntl, file, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND) && !fstat(file, &found))
        return found.st_size;
    return syscall(SYS_lseek, file, 0L, SEEK_CUR);
}

ssize_t write(int file, const void *data, size_t length) {
    char path[PATH_MAX];
    if (!file_is_below(file, path))
        return syscall(SYS_write, file, data, length);
    step();
    off_t at = position(file);
    ssize_t written = syscall(SYS_write, file, data, length);
    if (written > 0)
        record(WRITE, path, NULL, inode_of(file), at, data, written);
    done();
    return written;
}

static ssize_t write_at(int file, const void *data, size_t length, off_t at) {
    char path[PATH_MAX];
    if (!file_is_below(file, path))
        return syscall(SYS_pwrite64, file, data, length, at);
    step();
    ssize_t written = syscall(SYS_pwrite64, file, data, length, at);
    if (written > 0)
        record(WRITE, path, NULL, inode_of(file), at, data, written);
    done();
    return written;
}

ssize_t pwrite(int file, const void *data, size_t length, off_t at) { return write_at(file, data, length, at); }
ssize_t pwrite64(int file, const void *data, size_t length, off64_t at) { return write_at(file, data, length, at); }

/* Writes the parts one by one, as a file system may do. */
ssize_t writev(int file, const struct iovec *parts, int number) {
    char path[PATH_MAX];
    if (!file_is_below(file, path))
        return syscall(SYS_writev, file, parts, number);
    ssize_t whole = 0;
    for (int part = 0; part < number; part++) {
        ssize_t written = write(file, parts[part].iov_base, parts[part].iov_len);
        if (written < 0)
            return whole ? whole : written;
        whole += written;
        if ((size_t)written < parts[part].iov_len)
            break;
    }
    return whole;
}

static ssize_t write_parts_at(int file, const struct iovec *parts, int number, off_t at) {
    ssize_t whole = 0;
    for (int part = 0; part < number; part++) {
        ssize_t written = write_at(file, parts[part].iov_base, parts[part].iov_len, at + whole);
        if (written < 0)
            return whole ? whole : written;
        whole += written;
        if ((size_t)written < parts[part].iov_len)
            break;
    }
    return whole;
}

ssize_t pwritev(int file, const struct iovec *parts, int number, off_t at) { return write_parts_at(file, parts, number, at); }
ssize_t pwritev64(int file, const struct iovec *parts, int number, off64_t at) { return write_parts_at(file, parts, number, at); }

/* Those who copy within the kernel fall back to reading and writing. */
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t length, unsigned flags) {
    char path[PATH_MAX];
    if (!file_is_below(to, path))
        return syscall(SYS_copy_file_range, from, at, to, there, length, flags);
    errno = ENOSYS;
    return -1;
}

static ssize_t send_file(int to, int from, off_t *at, size_t length) {
    char path[PATH_MAX];
    if (!file_is_below(to, path))
        return syscall(SYS_sendfile, to, from, at, length);
    errno = ENOSYS;
    return -1;
}

ssize_t sendfile(int to, int from, off_t *at, size_t length) { return send_file(to, from, at, length); }
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) { return send_file(to, from, at, length); }

static int set_length(int file, off_t length) {
    char path[PATH_MAX];
    if (!file_is_below(file, path))
        return syscall(SYS_ftruncate, file, length);
    step();
    int result = syscall(SYS_ftruncate, file, length);
    if (!result)
        record(LENGTH, path, NULL, inode_of(file), length, NULL, 0);
    done();
    return result;
}

int ftruncate(int file, off_t length) { return set_length(file, length); }
int ftruncate64(int file, off64_t length) { return set_length(file, length); }

static int allocate(int file, int mode, off_t at, off_t length) {
    char path[PATH_MAX];
    struct stat found;
    if (!file_is_below(file, path))
        return syscall(SYS_fallocate, file, mode, at, length);
    step();
    int result = syscall(SYS_fallocate, file, mode, at, length);
    if (!result && mode & ~FALLOC_FL_KEEP_SIZE)
        unsupported("fallocate", path);
    if (!result && !mode && !fstat(file, &found))
        record(LENGTH, path, NULL, found.st_ino, found.st_size, NULL, 0);
    done();
    return result;
}

int fallocate(int file, int mode, off_t at, off_t length) { return allocate(file, mode, at, length); }
int fallocate64(int file, int mode, off64_t at, off64_t length) { return allocate(file, mode, at, length); }
int posix_fallocate(int file, off_t at, off_t length) { return allocate(file, 0, at, length) ? errno : 0; }
int posix_fallocate64(int file, off64_t at, off64_t length) { return allocate(file, 0, at, length) ? errno : 0; }

static int rename_file(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    struct stat found;
    int is_from = name_is_below(from_directory, from, old), is_to = name_is_below(to_directory, to, new);
    if (!is_from && !is_to)
        return syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    step();
    int is_folder = !fstatat(from_directory, from, &found, AT_SYMLINK_NOFOLLOW) && S_ISDIR(found.st_mode);
    int result = syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    if (!result) {
        if (!is_from || !is_to || is_folder || flags & RENAME_EXCHANGE)
            unsupported("this rename", is_from ? old : new);
        record(RENAME, is_from ? old : "", is_to ? new : "", found.st_ino, 0, NULL, 0);
    }
    done();
    return result;
}

int rename(const char *from, const char *to) { return rename_file(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int old, const char *from, int new, const char *to) { return rename_file(old, from, new, to, 0); }
int renameat2(int old, const char *from, int new, const char *to, unsigned flags) { return rename_file(old, from, new, to, flags); }

static int link_file(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    char path[PATH_MAX];
    if (name_is_below(to_directory, to, path))
        unsupported("link", path);
    return syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
}

int link(const char *from, const char *to) { return link_file(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int old, const char *from, int new, const char *to, int flags) { return link_file(old, from, new, to, flags); }

static int remove_name(int directory, const char *name, int flags) {
    char path[PATH_MAX];
    struct stat found = {0};
    if (!name_is_below(directory, name, path))
        return syscall(SYS_unlinkat, directory, name, flags);
    step();
    fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW);
    int result = syscall(SYS_unlinkat, directory, name, flags);
    if (!result)
        record(flags & AT_REMOVEDIR ? NO_FOLDER : UNLINK, path, NULL, found.st_ino, 0, NULL, 0);
    done();
    return result;
}

int unlink(const char *path) { return remove_name(AT_FDCWD, path, 0); }
int unlinkat(int directory, const char *path, int flags) { return remove_name(directory, path, flags); }
int rmdir(const char *path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }

static int make_folder(int directory, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!name_is_below(directory, name, path))
        return syscall(SYS_mkdirat, directory, name, mode);
    step();
    int result = syscall(SYS_mkdirat, directory, name, mode);
    if (!result)
        record(FOLDER, path, NULL, 0, 0, NULL, 0);
    done();
    return result;
}

int mkdir(const char *path, mode_t mode) { return make_folder(AT_FDCWD, path, mode); }
int mkdirat(int directory, const char *path, mode_t mode) { return make_folder(directory, path, mode); }

static int sync_file(int number, int file) {
    char path[PATH_MAX];
    struct stat found;
    if (!file_is_below(file, path))
        return syscall(number, file);
    step();
    if (!fstat(file, &found))
        record(S_ISDIR(found.st_mode) ? SYNC_FOLDER : SYNC, path, NULL, found.st_ino, 0, NULL, 0);
    done();
    return 0;
}

int fsync(int file) { return sync_file(SYS_fsync, file); }
int fdatasync(int file) { return sync_file(SYS_fdatasync, file); }

static void *map(void *address, size_t length, int protection, int flags, int file, off_t at) {
    char path[PATH_MAX];
    /* SQLite's index of a write-ahead log (-shm) is made again after a crash. */
    if (flags & MAP_SHARED && protection & PROT_WRITE && file_is_below(file, path) && !strstr(path, "-shm"))
        unsupported("a shared mapping", path);
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, at);
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t at) { return map(address, length, protection, flags, file, at); }
void *mmap64(void *address, size_t length, int protection, int flags, int file, off64_t at) { return map(address, length, protection, flags, file, at); }
