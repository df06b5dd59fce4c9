/* Sets the wall clock of one process wrong, by the seconds that a file has, and leaves the monotonic clock alone.

   Preloaded (LD_PRELOAD) with WRONG_CLOCK naming the file: a long, which may change at any time. Without headers, so
   that a compiler alone builds it. */

struct timespec {
  long seconds;
  long nanoseconds;
};

struct timeval {
  long seconds;
  long microseconds;
};

extern char *getenv(const char *name);
extern int open(const char *path, int flags, ...);
extern void *mmap(void *address, unsigned long length, int protection, int flags, int file, long offset);
extern void *dlsym(void *handle, const char *name);

#define REALTIME 0
#define REALTIME_COARSE 5
#define READ_ONLY 0
#define PROTECTION_READ 1
#define MAP_SHARED 1
#define MAP_FAILED ((void *)-1)
#define NEXT_LIBRARY ((void *)-1)

static const volatile long *wrong_by;
static int (*real_clock_gettime)(int clock, struct timespec *time);

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("WRONG_CLOCK");
  real_clock_gettime = (int (*)(int, struct timespec *))dlsym(NEXT_LIBRARY, "clock_gettime");
  if (path) {
    void *mapped = mmap(0, sizeof(long), PROTECTION_READ, MAP_SHARED, open(path, READ_ONLY), 0);
    wrong_by = mapped == MAP_FAILED ? 0 : mapped;
  }
}

int clock_gettime(int clock, struct timespec *time) {
  if (!real_clock_gettime) begin();
  int result = real_clock_gettime(clock, time);
  if (result == 0 && wrong_by && (clock == REALTIME || clock == REALTIME_COARSE)) time->seconds += *wrong_by;
  return result;
}

int gettimeofday(struct timeval *time, void *zone) {
  struct timespec now;
  (void)zone;
  int result = clock_gettime(REALTIME, &now);
  time->seconds = now.seconds;
  time->microseconds = now.nanoseconds / 1000;
  return result;
}

long time(long *answer) {
  struct timespec now;
  clock_gettime(REALTIME, &now);
  if (answer) *answer = now.seconds;
  return now.seconds;
}
