/* heap.c — the copying collector and its pages.
 *
 * Linear memory beyond the C data is cut into 4 KiB pages; page_state has a byte for each. Small
 * objects are bump-allocated in blocks of up to 16 pages and copied at every collection (Cheney:
 * breadth first, so no recursion along data); objects over LARGE_LIMIT get pages of their own and
 * are marked, never moved. What lived when the image was made (heap_seal) is never moved or freed,
 * only scanned; so a fresh session shares it copy-on-write.
 *
 * Copying needs room for what survives. The invariant that makes a collection safe at any time:
 * free pages >= pages of small blocks + MARGIN. Where memory.grow cannot keep it, a collection is
 * asked for, and what cannot be helped by one ends the evaluation (need_memory).
 */
#include "core/heap.h"
#include "core/check.h"
#include "core/prims.h"
#include <stdarg.h>
#include <string.h>

#define PAGE 4096u
#define PAGE_SHIFT 12
#define BLOCK_PAGES 16u
#define LARGE_LIMIT 3072u
#define MARGIN_PAGES 192u               /* 768 KiB: more than anything may take between two safe points */
#define MAX_PAGES (1u << 20)            /* 4 GiB */
#ifndef COLLECT_AFTER                   /* the debug build collects all the time */
#define COLLECT_AFTER (8u << 20)        /* bytes of allocation between collections, at the least */
#endif

enum page_state { PAGE_FREE, PAGE_SMALL, PAGE_LARGE, PAGE_IMAGE, PAGE_FROM };   /* FROM: small, while it is collected */

static uint8_t page_state[MAX_PAGES];
static uint32_t first_page, end_page;   /* the pages that are ours: [first_page, end_page) */
static uint32_t free_pages, small_pages, large_pages, image_pages;
static uint32_t search_from;            /* where the last run was found */
static uint32_t spare_page, spare_pages;/* a run that heap_reserve found and nobody took: it is asked for again and again */

/* A block of small objects: this header, objects up to `used`. */
struct block { struct block *next; uint32_t pages; uint32_t used; };
/* A large object: this header, then the object. */
struct large { struct large *next; uint32_t pages; uint8_t marked, image, phase; };

#ifdef __wasm__
#define HEADER_SIZE 16u
_Static_assert(sizeof(struct block) <= HEADER_SIZE && sizeof(struct large) <= HEADER_SIZE, "headers");
#else
#define HEADER_SIZE 24u
#endif

static struct block *blocks, *image_blocks;
static struct large *larges;
static uint8_t *bump, *bump_end;        /* in blocks, the current one */
static uint64_t allocated;              /* since the last collection */
static uint64_t collected;              /* bytes that collections went through since the instance was born */
static uint64_t collect_after = COLLECT_AFTER;
static bool short_of_memory;
static uint8_t sealing;                 /* heap_seal: everything moves, up in phase 1, down in phase 2 */
static uint32_t epoch;

/* ---- the edge of memory ---- */
#ifdef __wasm__
extern uint8_t __heap_base;
static void memory_start(void) {
  first_page = ((uint32_t)(uintptr_t)&__heap_base + PAGE - 1) >> PAGE_SHIFT;
  end_page = (uint32_t)__builtin_wasm_memory_size(0) << 4;
}
static bool memory_grow(uint32_t pages) {      /* pages: a multiple of 16 */
  return __builtin_wasm_memory_grow(0, pages >> 4) != (size_t)-1;
}
#else
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
/* The debug build's memory: above what the process itself begins with, below the address sanitizer's
   shadow, and where 32 bits are an address. */
#define NATIVE_BASE 0x44000000u
#define NATIVE_BYTES 0x38000000u
static void memory_start(void) {
  void *base = mmap((void *)NATIVE_BASE, NATIVE_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
  if (base != (void *)NATIVE_BASE) {
    perror("no memory at the address that the heap wants");
    exit(1);
  }
  first_page = end_page = NATIVE_BASE >> PAGE_SHIFT;
}
uint32_t heap_page_limit = NATIVE_BYTES >> PAGE_SHIFT;
static bool memory_grow(uint32_t pages) { return end_page + pages - first_page <= heap_page_limit; }
#endif

/* In a debug build what is free may not be touched: the sanitizer says so at once, and without one
   the bytes there make no sense. */
#ifdef RLM_POISON
#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#ifdef ADDRESS_SANITIZER
void __asan_poison_memory_region(void const volatile *start, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *start, size_t bytes);
#else
#define __asan_poison_memory_region(start, bytes) ((void)0)
#define __asan_unpoison_memory_region(start, bytes) ((void)0)
#endif
static void poison(void *start, uint32_t pages) {
  memset(start, 0xdd, (size_t)pages * PAGE);
  __asan_poison_memory_region(start, (size_t)pages * PAGE);
}
static void unpoison(uint32_t page, uint32_t pages) {
  (void)page, (void)pages;              /* where there is no such sanitizer */
  __asan_unpoison_memory_region((void *)((uintptr_t)page << PAGE_SHIFT), (size_t)pages * PAGE);
}
#else
static void poison(void *start, uint32_t pages) { (void)start, (void)pages; }
static void unpoison(uint32_t page, uint32_t pages) { (void)page, (void)pages; }
#endif

static bool grow(uint32_t pages) {
  uint32_t size = end_page - first_page;
  uint32_t more = pages > size / 8 ? pages : size / 8;    /* amortised */
  more = (more + 255) & ~255u;                            /* a MiB at the least */
  if (end_page + more > MAX_PAGES - 16 || !memory_grow(more)) {
    more = (pages + 15) & ~15u;
    if (end_page + more > MAX_PAGES - 16 || !memory_grow(more)) return false;
  }
  end_page += more;
  free_pages += more;
  return true;
}

/* The first page of a run of `pages` free ones, 0 where there is none. */
static uint32_t find_run(uint32_t pages) {
  uint32_t ranges[2][2] = {{search_from, end_page}, {first_page, search_from}};
  for (int r = 0; r < (sealing == 1 ? 1 : 2); r++) {
    uint32_t page = ranges[r][0], end = ranges[r][1];
    if (r == 1) end = end + pages < end_page ? end + pages : end_page;
    while (page + pages <= end) {
      uint8_t *hit = memchr(page_state + page, PAGE_FREE, end - page);
      if (!hit) break;
      page = (uint32_t)(hit - page_state);
      if (page + pages > end) break;
      uint32_t n = 1;
      while (n < pages && page_state[page + n] == PAGE_FREE) n++;
      if (n == pages) return page;
      page += n;
    }
  }
  return 0;
}

static uint32_t take_run(uint32_t pages, enum page_state state) {
  uint32_t page = find_run(pages);
  if (!page) {
    if (!grow(pages)) return 0;
    page = find_run(pages);
    if (!page) return 0;
  }
  if (page < spare_page + spare_pages && spare_page < page + pages) {
    uint32_t end = spare_page + spare_pages;
    spare_page = page + pages;
    spare_pages = spare_page < end ? end - spare_page : 0;
  }
  memset(page_state + page, state, pages);
  unpoison(page, pages);
  free_pages -= pages;
  search_from = page + pages;
  return page;
}

static void release_run(void *start, uint32_t pages) {
  poison(start, pages);
  uint32_t page = (uint32_t)((uintptr_t)start >> PAGE_SHIFT);
  CHECK(page >= first_page && page + pages <= end_page && page_state[page] != PAGE_FREE && page_state[page] != PAGE_IMAGE);
  memset(page_state + page, PAGE_FREE, pages);
  free_pages += pages;
  if (page < search_from) search_from = page;
}

/* Is there room for `pages` more on top of what a collection needs? */
static bool room_for(uint64_t pages) {
  uint64_t need = pages + small_pages + MARGIN_PAGES;
  while (free_pages < need)
    if (need - free_pages > MAX_PAGES || !grow((uint32_t)(need - free_pages))) return false;
  return true;
}

/* ---- allocation ---- */
#ifdef RLM_DEBUG
uint32_t heap_collect_every;            /* allocations from one collection to the next; 0: as memory asks for it */
static uint32_t since_collection;
#endif

/* Ask the VM for a collection at its next safe point: out of steps, it looks why. */
static void count_allocation(uint64_t bytes) {
  allocated += bytes;
  if ((allocated > collect_after || short_of_memory) && !vm.collect) {
    vm.collect = true;
    vm.hidden_steps = vm.steps;
    vm.steps = 0;
  }
}

static void new_block(void) {
  if (blocks && bump) blocks->used = (uint32_t)(bump - (uint8_t *)blocks);
  uint32_t pages = BLOCK_PAGES, page = 0;
  if (!room_for(2 * BLOCK_PAGES)) short_of_memory = true;
  while (!(page = take_run(pages, PAGE_SMALL)))
    if (!(pages /= 2)) TRAP("the margin is gone: a primitive allocated more than it had reserved");
  struct block *b = (struct block *)(uintptr_t)(page << PAGE_SHIFT);
  b->next = blocks;
  b->pages = pages;
  blocks = b;
  small_pages += pages;
  bump = (uint8_t *)b + HEADER_SIZE;
  bump_end = (uint8_t *)b + pages * PAGE;
  count_allocation(pages * PAGE);
}

static void *allocate_large(uint64_t bytes) {
  uint32_t pages = (uint32_t)((bytes + HEADER_SIZE + PAGE - 1) >> PAGE_SHIFT);
  if (!room_for(pages)) short_of_memory = true;
  uint32_t page = take_run(pages, PAGE_LARGE);
  if (!page) TRAP("a large object was not reserved: see heap.h");
  struct large *l = (struct large *)(uintptr_t)(page << PAGE_SHIFT);
  l->next = larges;
  l->pages = pages;
  l->marked = l->image = 0;
  l->phase = sealing;
  larges = l;
  large_pages += pages;
  count_allocation(bytes);
  return (uint8_t *)l + HEADER_SIZE;
}

static inline void *allocate_small(uint32_t bytes) {
#ifdef RLM_DEBUG
  if (heap_collect_every && !vm.collect && ++since_collection >= heap_collect_every) {
    short_of_memory = true;
    count_allocation(bytes);
  }
#endif
  if ((uint32_t)(bump_end - bump) < bytes) new_block();
  void *p = bump;
  bump += bytes;
  return p;
}

static inline void *allocate(uint64_t bytes, uint32_t *flags) {
  if (bytes <= LARGE_LIMIT) return allocate_small((uint32_t)bytes);
  *flags |= H_LARGE;
  return allocate_large(bytes);
}

Value heap_object(uint32_t tag, uint32_t flags, uint32_t slots) {
  uint64_t *p = allocate(8 + (uint64_t)slots * 8, &flags);
  CHECK(tag >= T_RATIO);
  *p = HEADER(tag, flags, slots);
  return FROM_PTR(tag, p);
}

Value heap_raw(uint32_t tag, uint32_t flags, uint32_t bytes) {
  uint64_t *p = allocate(8 + (((uint64_t)bytes + 7) & ~7ull), &flags);
  CHECK(KIND_IS_RAW(tag));
  *p = HEADER(tag, flags, bytes);
  return FROM_PTR(tag, p);
}

bool heap_reserve(uint64_t bytes) {
  if (bytes <= HEAP_HEADROOM / 2) return true;
  uint64_t pages = (bytes + HEADER_SIZE + PAGE - 1) >> PAGE_SHIFT;
  /* twice: what is reserved may be small objects, for which the collector needs room again */
  if (pages > MAX_PAGES || !room_for(bytes > (1u << 20) ? pages + BLOCK_PAGES : 2 * pages)) return false;
  if (pages <= spare_pages) return true;
  uint32_t page = find_run((uint32_t)pages);
  if (!page) return grow((uint32_t)pages);
  spare_page = page;
  spare_pages = (uint32_t)pages;
  while (page + spare_pages < end_page && page_state[page + spare_pages] == PAGE_FREE) spare_pages++;
  return true;
}

Value cons(Value car, Value cdr) {
  Value *p = allocate_small(16);
  p[0] = car;
  p[1] = cdr;
  return FROM_PTR(T_PAIR, p);
}

Value cons_at(Value car, Value cdr, uint32_t place) {
  if (!place) return cons(car, cdr);
  Value *p = allocate_small(24);
  p[0] = HEADER(T_LPAIR, 0, place);
  p[1] = car;
  p[2] = cdr;
  return FROM_PTR(T_LPAIR, p + 1);
}

Value list_n(int count, ...) {
  va_list items;
  va_start(items, count);
  Value head = V_NIL, last = V_NIL;
  for (int i = 0; i < count; i++) {
    Value pair = cons(va_arg(items, Value), V_NIL);
    if (head == V_NIL) head = pair; else CDR(last) = pair;
    last = pair;
  }
  va_end(items);
  return head;
}

/* The slow pointer goes half as fast: it is met again in a circle. */
int64_t list_length(Value v) {
  int64_t n = 0;
  Value slow = v;
  for (; is_pair(v); v = CDR(v), n++) {
    if (n && slow == v) return -1;
    if (n % 2) slow = CDR(slow);
  }
  return v == V_NIL ? n : -1;
}

Value make_vector(uint32_t length, Value fill) {
  Value v = heap_object(T_VECTOR, 0, length);
  for (uint32_t i = 0; i < length; i++) VEC(v)[i] = fill;
  return v;
}

Value make_flonum(double d) {
  Value v = heap_raw(T_FLONUM, 0, 8);
  FLO_VALUE(v) = d;
  return v;
}

Value make_box(Value content) {
  Value v = heap_object(T_BOX, 0, 1);
  SLOTS(v)[0] = content;
  return v;
}

Value make_values(uint32_t count, const Value *values) {
  if (count == 1) return values[0];
  Value v = heap_object(T_VALUES, 0, count);
  for (uint32_t i = 0; i < count; i++) SLOTS(v)[i] = values[i];
  return v;
}

Value make_record(Value rtd, uint32_t fields) {
  Value v = heap_object(T_RECORD, 0, fields + 1);
  RECORD_RTD(v) = rtd;
  for (uint32_t i = 0; i < fields; i++) RECORD_FIELD(v, i) = V_FALSE;
  return v;
}

/* ---- collection ---- */
#define MAX_ROOTS 256
static Value *roots[MAX_ROOTS];
static uint32_t root_count;
void heap_root(Value *variable) {
  for (uint32_t i = 0; i < root_count; i++)
    if (roots[i] == variable) return;
  if (root_count == MAX_ROOTS) TRAP("too many roots: see MAX_ROOTS");
  roots[root_count++] = variable;
}

static const HeapClient *client;
void heap_serve(const HeapClient *who) { client = who; }

static uint64_t copied, scanned;        /* bytes, by this collection: small objects, slots of large ones */

/* Large objects that are marked but not yet scanned. Past 256 of them the list of all large
   objects is walked instead: no stack grows with the data. */
static uint32_t gray_count;
static Value gray_list[256];
static bool gray_overflow;

static void mark_large(Value v) {
  CHECK(IS_HEADER(HEADER_OF(v)) && HEADER_KIND(HEADER_OF(v)) == TAG(v));
  struct large *l = (struct large *)((uint8_t *)PTR(v) - HEADER_SIZE);
  if (l->marked) return;
  l->marked = 1;
  if (KIND_IS_RAW(TAG(v))) { l->marked = 2; return; }
  if (gray_count < 256) gray_list[gray_count++] = v; else gray_overflow = true;
}

/* Only while sealing: a large object moves too. */
static void move_large(Value *slot) {
  Value v = *slot;
  uint64_t *p = PTR(v), first = *p;
  if (TAG(first) == T_FORWARD) { *slot = MAKE(TAG(v), PAYLOAD(first)); return; }
  if (((struct large *)((uint8_t *)p - HEADER_SIZE))->phase == sealing) return;
  uint32_t length = HEADER_LENGTH(first);
  uint64_t bytes = 8 + (KIND_IS_RAW(HEADER_KIND(first)) ? ((uint64_t)length + 7) & ~7ull : (uint64_t)length * 8);
  uint64_t *to = allocate_large(bytes);
  memcpy(to, p, bytes);
  *p = MAKE(T_FORWARD, (uint32_t)(uintptr_t)to);
  *slot = FROM_PTR(TAG(v), to);
  mark_large(*slot);
}

/* A word at a time: most objects are shorter than what a call for copying memory is worth. */
#ifdef __clang__
__attribute__((no_builtin("memcpy", "memmove")))
#endif
static void copy_words(uint64_t *to, const uint64_t *from, uint32_t bytes) {
  _Pragma("GCC unroll 4") for (uint32_t i = 0; i < bytes / 8; i++) to[i] = from[i];
}

/* The rest of a list is copied with its pair: it lies side by side then, and is not looked at twice. */
static void forward_list(Value *slot, uint64_t *p) {
  for (;;) {
    uint64_t *to = allocate_small(16);
    Value rest = p[1];
    to[0] = p[0];
    to[1] = rest;
    *p = MAKE(T_FORWARD, (uint32_t)(uintptr_t)to);
    *slot = FROM_PTR(T_PAIR, to);
    copied += 16;
    if (!IS(rest, T_PAIR) || page_state[PAYLOAD(rest) >> PAGE_SHIFT] != PAGE_FROM) return;
    p = PTR(rest);
    if (TAG(*p) == T_FORWARD) { to[1] = MAKE(T_PAIR, PAYLOAD(*p)); return; }
    slot = to + 1;
  }
}

static void forward_object(Value *slot) {
  Value v = *slot;
  uint64_t *p = PTR(v);
  CHECK(PAYLOAD(v) >> PAGE_SHIFT >= first_page && PAYLOAD(v) >> PAGE_SHIFT < end_page && PAYLOAD(v) % 8 == 0);
  CHECK(page_state[PAYLOAD(v) >> PAGE_SHIFT] != PAGE_FREE);      /* a stale pointer */
  switch (page_state[PAYLOAD(v) >> PAGE_SHIFT]) {
    case PAGE_FROM: break;
    case PAGE_LARGE: if (sealing) move_large(slot); else mark_large(v); return;
    default: return;                     /* of the image, or copied already */
  }
  uint64_t first = *p;
  if (TAG(first) == T_FORWARD) { *slot = MAKE(TAG(v), PAYLOAD(first)); return; }
  if (IS(v, T_PAIR)) { forward_list(slot, p); return; }
  uint32_t bytes;
  uint64_t *to;
  if (IS(v, T_LPAIR)) {
    CHECK(IS_HEADER(p[-1]) && HEADER_KIND(p[-1]) == T_LPAIR);
    bytes = 24;
    to = allocate_small(24);
    to[0] = p[-1];
    to[1] = p[0];
    to[2] = p[1];
    to++;
  } else {
    CHECK(IS_HEADER(first) && HEADER_KIND(first) == TAG(v));
    uint32_t length = HEADER_LENGTH(first);
    bytes = 8 + (KIND_IS_RAW(HEADER_KIND(first)) ? (length + 7) & ~7u : length * 8);
    to = allocate_small(bytes);
    copy_words(to, p, bytes);
  }
  copied += bytes;
  *p = MAKE(T_FORWARD, (uint32_t)(uintptr_t)to);
  *slot = FROM_PTR(TAG(v), to);
}

static inline void forward_slot(Value *slot) {
  if (!IS_FIX(*slot) && TAG(*slot) >= T_PAIR) forward_object(slot);
}
static void forward(Value *slot) { forward_slot(slot); }

static void scan_slots(Value *slots, uint32_t count) {
  _Pragma("GCC unroll 4") for (uint32_t i = 0; i < count; i++) forward_slot(slots + i);
}

/* Ephemerons: the value is kept by the key, not by the ephemeron. Those that the scan meets are
   chained through their third slot; when nothing else is left to scan, those whose key is alive
   keep their value too, and in the end the others are broken. */
enum { EPHEMERON_KEY, EPHEMERON_VALUE, EPHEMERON_BROKEN };
static Value ephemerons;

static void chain_ephemeron(uint8_t *object) {
  Value e = FROM_PTR(T_EPHEMERON, object);
  if (SLOTS(e)[EPHEMERON_BROKEN] == V_TRUE) return;      /* before this collection */
  SLOTS(e)[EPHEMERON_BROKEN] = ephemerons;
  ephemerons = e;
}

static bool is_alive(Value v) {
  if (IS_FIX(v) || TAG(v) < T_PAIR) return true;
  uint64_t *p = PTR(v);
  switch (page_state[PAYLOAD(v) >> PAGE_SHIFT]) {
    case PAGE_FROM: return TAG(*p) == T_FORWARD;
    case PAGE_LARGE: return ((struct large *)((uint8_t *)p - HEADER_SIZE))->marked;
    default: return true;
  }
}

/* Scan objects from `from` up to `to`; returns where it stopped (== to). */
static uint8_t *scan_range(uint8_t *from, uint8_t *to) {
  while (from < to) {
    uint64_t word = *(uint64_t *)from;
    if (!IS_HEADER(word)) {
      forward_slot((Value *)from);
      forward_slot((Value *)from + 1);
      from += 16;
    } else if (HEADER_KIND(word) == T_LPAIR) {
      scan_slots((Value *)from + 1, 2);
      from += 24;
    } else if (KIND_IS_RAW(HEADER_KIND(word))) {
      from += 8 + ((HEADER_LENGTH(word) + 7) & ~7u);
    } else {
      if (HEADER_KIND(word) == T_EPHEMERON && !sealing) chain_ephemeron(from);
      else scan_slots((Value *)from + 1, HEADER_LENGTH(word));
      from += 8 + HEADER_LENGTH(word) * 8;
    }
  }
  CHECK(from == to);                     /* objects lie side by side */
  return from;
}

static void scan_large(struct large *l) {
  uint64_t *p = (uint64_t *)((uint8_t *)l + HEADER_SIZE);
  if (KIND_IS_RAW(HEADER_KIND(*p))) return;
  scan_slots((Value *)p + 1, HEADER_LENGTH(*p));
  scanned += HEADER_LENGTH(*p) * 8ull;
}

/* Scan what has been copied or marked until nothing is left. New blocks are pushed in front of
   `blocks`; they are scanned in the order of their birth, kept in `queue`. */
static struct block *scan_block;      /* where the scan has come to */
static uint8_t *scan_at;
static void scan_all(void) {
  struct block *current = scan_block;
  uint8_t *at = scan_at;
  for (;;) {
    bool progress = false;
    /* find the oldest block not finished: walk the list from the newest down to `current` */
    for (;;) {
      struct block *next = NULL;
      if (!current) {
        for (struct block *b = blocks; b; b = b->next) next = b;   /* the oldest */
        if (!next) break;
        current = next;
        at = (uint8_t *)current + HEADER_SIZE;
      }
      uint8_t *end = current == blocks ? bump : (uint8_t *)current + current->used;
      if (at < end) { at = scan_range(at, end); progress = true; continue; }
      if (current == blocks) break;
      for (next = blocks; next->next != current; next = next->next) {}
      current = next;
      at = (uint8_t *)current + HEADER_SIZE;
    }
    while (gray_count) {
      Value v = gray_list[--gray_count];
      struct large *l = (struct large *)((uint8_t *)PTR(v) - HEADER_SIZE);
      l->marked = 2;
      scan_large(l);
      progress = true;
    }
    if (gray_overflow) {
      gray_overflow = false;
      for (struct large *l = larges; l; l = l->next)
        if (l->marked == 1) { l->marked = 2; scan_large(l); progress = true; }
    }
    if (!progress) break;
  }
  scan_block = current;
  scan_at = at;
}

/* Is there an ephemeron in the chain whose key turned out to be alive? Keep their values. A value
   may keep the next key, so this is repeated; after many rounds all are taken for alive, so that a
   long chain does not make a collection quadratic. */
enum { EPHEMERON_ROUNDS = 64 };
static bool keep_values(uint32_t round) {
  bool kept = false;
  for (Value *link = &ephemerons; *link != V_FALSE;) {
    Value e = *link;
    if (round < EPHEMERON_ROUNDS && !is_alive(SLOTS(e)[EPHEMERON_KEY])) { link = &SLOTS(e)[EPHEMERON_BROKEN]; continue; }
    *link = SLOTS(e)[EPHEMERON_BROKEN];
    SLOTS(e)[EPHEMERON_BROKEN] = V_FALSE;
    scan_slots(SLOTS(e), 2);
    kept = true;
  }
  return kept;
}
static void break_ephemerons(void) {
  while (ephemerons != V_FALSE) {
    Value e = ephemerons;
    ephemerons = SLOTS(e)[EPHEMERON_BROKEN];
    SLOTS(e)[EPHEMERON_KEY] = SLOTS(e)[EPHEMERON_VALUE] = V_FALSE;
    SLOTS(e)[EPHEMERON_BROKEN] = V_TRUE;
  }
}

static void scan_image(void) {
  for (struct block *b = image_blocks; b; b = b->next)
    scan_range((uint8_t *)b + HEADER_SIZE, (uint8_t *)b + b->used);
  for (struct large *l = larges; l; l = l->next)
    if (l->image) scan_large(l);
}

static void sweep_large(void) {
  struct large **link = &larges;
  while (*link) {
    struct large *l = *link;
    if (l->marked || l->image) { l->marked = 0; link = &l->next; continue; }
    *link = l->next;
    large_pages -= l->pages;
    release_run(l, l->pages);
  }
}

static bool collecting;
void heap_collect(void) {
  if (!vm.collect) vm.hidden_steps = vm.steps;
  vm.collect = true;                    /* so that copying does not ask for a collection */
  CHECK(!collecting);
  collecting = true;
  client->before_collection();
  struct block *from = blocks;
  for (struct block *b = from; b; b = b->next) memset(page_state + ((uintptr_t)b >> PAGE_SHIFT), PAGE_FROM, b->pages);
  blocks = NULL;
  bump = bump_end = NULL;
  small_pages = 0;
  copied = scanned = 0;
  scan_block = NULL;
  scan_at = NULL;
  ephemerons = V_FALSE;
  epoch++;
  for (uint32_t i = 0; i < root_count; i++) forward(roots[i]);
  client->scan_roots(forward);
  scan_image();
  uint32_t round = 0;
  do scan_all(); while (keep_values(round++));
  break_ephemerons();
  while (from) {
    struct block *next = from->next;
    release_run(from, from->pages);
    from = next;
  }
  sweep_large();
  client->after_collection();
  allocated = 0;
  short_of_memory = false;
#ifdef RLM_DEBUG
  since_collection = 0;
#endif
  /* as much again as lives, so that the work of collecting stays in proportion */
  uint64_t live = ((uint64_t)small_pages + large_pages / 4) * PAGE;
  collect_after = live > COLLECT_AFTER ? live : COLLECT_AFTER;
  vm.steps = vm.hidden_steps + (vm.steps < 0 ? vm.steps : 0) - (int64_t)((copied + scanned) >> 8);
  collected += copied + scanned;
  vm.collect = false;
  collecting = false;
}

/* The image should be small and dense, at the low end of memory: a fresh instance maps it whole. */
void heap_seal(void) {
  for (sealing = 1; sealing <= 2; sealing++) {
    search_from = sealing == 1 ? end_page : first_page;
    heap_collect();
  }
  sealing = 0;
  if (blocks) blocks->used = (uint32_t)(bump - (uint8_t *)blocks);
  for (struct block *b = blocks; b; b = b->next) {
    memset(page_state + ((uintptr_t)b >> PAGE_SHIFT), PAGE_IMAGE, b->pages);
    memset((uint8_t *)b + b->used, 0, b->pages * PAGE - b->used);
  }
  struct block **link = &image_blocks;
  while (*link) link = &(*link)->next;
  *link = blocks;
  image_pages += small_pages;
  small_pages = 0;
  blocks = NULL;
  bump = bump_end = NULL;
  for (struct large *l = larges; l; l = l->next) {
    l->image = 1;
    memset(page_state + ((uintptr_t)l >> PAGE_SHIFT), PAGE_IMAGE, l->pages);
  }
  image_pages += large_pages;
  large_pages = 0;
  uint32_t used = first_page;
  for (uint32_t p = first_page; p < end_page; p++)
    if (page_state[p] != PAGE_FREE) used = p + 1;
#ifdef __wasm__
  for (uint32_t p = first_page; p < end_page; p++)     /* stale copies would only fatten the image */
    if (page_state[p] == PAGE_FREE) memset((void *)(uintptr_t)((uintptr_t)p << PAGE_SHIFT), 0, PAGE);
  /* the shipped module's memory ends here (see rlm.h): with room for a program or two, so that a
     session's first allocation needs no memory.grow */
  end_page = (used + MARGIN_PAGES + 320 + 15) & ~15u;
#else
  (void)used;
#endif
  free_pages = spare_pages = 0;
  for (uint32_t p = first_page; p < end_page; p++) free_pages += page_state[p] == PAGE_FREE;
  search_from = first_page;
  allocated = 0;
  collect_after = COLLECT_AFTER;
}

uint64_t heap_used(void) {
  uint64_t used = ((uint64_t)small_pages + large_pages) * PAGE;
  return bump ? used - (uint64_t)(bump_end - bump) : used;
}
uint64_t heap_collected(void) { return collected; }
uint32_t heap_epoch(void) { return epoch; }
/* After a collection: is there room to go on, with `bytes` wanted by a primitive? */
/* In one run with a block or two: what the primitive allocates first may come from there. */
bool heap_has_room(uint64_t bytes) {
  return room_for(2 * BLOCK_PAGES) && (!bytes || (bytes < UINT64_MAX / 4 && heap_reserve(bytes + 2 * BLOCK_PAGES * PAGE)));
}

/* Pages outside the heap hold C data. They count as used, but for the stacks' unused parts. */
const uint8_t *heap_page_map(void) {
  memset(page_state, PAGE_IMAGE, first_page);
  uintptr_t ranges[4];
  client->unused_memory(ranges);
  for (int i = 0; i < 4; i += 2)
    for (uintptr_t p = (ranges[i] + PAGE - 1) >> PAGE_SHIFT; (p + 1) << PAGE_SHIFT <= ranges[i + 1] && p < first_page; p++)
      page_state[p] = PAGE_FREE;
  return page_state;
}
uint32_t heap_page_map_length(void) { return end_page; }

void heap_init(void) {
  memory_start();
  free_pages = end_page - first_page;
  search_from = first_page;
}
