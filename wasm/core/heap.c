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
#ifdef __wasm__
#include <wasm_simd128.h>
#endif

#define PAGE 4096u
#define PAGE_SHIFT 12
#define BLOCK_PAGES 16u
#define LARGE_LIMIT 3072u
#define MARGIN_PAGES 192u               /* 768 KiB: more than anything may take between two safe points */
#define SPARE_PAGES 2048u               /* 8 MiB, the margin's among them: what the image has beyond its own */
#define MAX_PAGES (1u << 20)            /* 4 GiB */
#ifndef COLLECT_AFTER                   /* the debug build collects all the time */
#define COLLECT_AFTER (1u << 20)        /* bytes of allocation between collections, at the least: they stay in the processor's cache */
#endif
#define SMALL_HEAP (8u << 20)           /* a heap up to this size grows faster than it is collected */

enum page_state { PAGE_FREE, PAGE_SMALL, PAGE_LARGE, PAGE_IMAGE, PAGE_FROM };   /* FROM: small, while it is collected */

static uint8_t page_state[MAX_PAGES];
static uint32_t first_page, end_page;   /* the pages that are ours: [first_page, end_page) */
static uint32_t image_end;              /* the image's objects lie below this address; 0: there is no image yet */
static uint32_t free_pages, small_pages, large_pages, image_pages;
static uint32_t from_pages;             /* of small blocks that a collection under way takes from; else 0 */
static uint32_t search_from;            /* where the last run was found */
static uint32_t touched_end;            /* no page from this one on was taken since the instance was born */
static uint32_t spare_page, spare_pages;/* a run that heap_reserve found and nobody took: it is asked for again and again */

/* A block of small objects: this header, objects up to `used`. */
struct block { struct block *next, *younger; uint32_t pages, used; };
/* A large object: this header, then the object. `gray` links those that are marked but not yet scanned. */
struct large { struct large *next, *gray; uint32_t pages; uint8_t marked, image, phase; };

#ifdef __wasm__
#define HEADER_SIZE 16u
_Static_assert(sizeof(struct block) <= HEADER_SIZE && sizeof(struct large) <= HEADER_SIZE, "headers");
#else
#define HEADER_SIZE 24u
#endif

static struct block *blocks;
static struct block *image_blocks, *settled_blocks;    /* of the image: what a program may change, what nobody does */
static struct large *larges;
uint8_t *heap_bump, *heap_bump_end;     /* in blocks, the current one */
static uint64_t allocated;              /* since the last collection */
static uint64_t collected;              /* bytes that collections went through since the instance was born */
static uint64_t collect_after = COLLECT_AFTER;
static bool short_of_memory;
static bool collecting;                 /* a collection is under way; it may be paused */
static uint8_t sealing;                 /* heap_seal: everything moves, up in phase 1, down in phase 2 */
static uint32_t epoch;

/* ---- the edge of memory ---- */
#ifdef __wasm__
extern uint8_t __heap_base;
extern uint8_t __stack_low, __stack_high;      /* C's own stack: the linker's names */
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
  if (search_from > touched_end) touched_end = search_from;
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

/* What a collection needs to copy so many pages of small objects: in another order they may leave up to
   LARGE_LIMIT at the end of a block. */
static uint64_t room_to_copy(uint64_t pages) { return pages + pages / 20; }

/* Is there room for `pages` more on top of what a collection needs, or still needs? */
static bool room_for(uint64_t pages) {
  uint64_t to_copy = from_pages ? room_to_copy(from_pages) : room_to_copy(small_pages);
  if (from_pages) to_copy -= small_pages < to_copy ? small_pages : to_copy;
  uint64_t need = pages + to_copy + MARGIN_PAGES;
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

static __attribute__((noinline)) void new_block(void) {
  if (blocks && heap_bump) blocks->used = (uint32_t)(heap_bump - (uint8_t *)blocks);
  uint32_t pages = BLOCK_PAGES, page = 0;
  if (!room_for(2 * BLOCK_PAGES)) short_of_memory = true;
  while (!(page = take_run(pages, PAGE_SMALL)))
    if (!(pages /= 2)) TRAP("the margin is gone: a primitive allocated more than it had reserved");
  struct block *b = (struct block *)(uintptr_t)(page << PAGE_SHIFT);
  b->next = blocks;
  b->younger = NULL;
  if (blocks) blocks->younger = b;
  b->pages = pages;
  blocks = b;
  small_pages += pages;
  heap_bump = (uint8_t *)b + HEADER_SIZE;
  heap_bump_end = (uint8_t *)b + pages * PAGE;
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
  l->marked = collecting && !sealing ? 2 : 0;   /* a message that comes while a collection pauses stays */
  l->image = 0;
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
  if ((uint32_t)(heap_bump_end - heap_bump) < bytes) new_block();
  void *p = heap_bump;
  heap_bump += bytes;
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

/* Short ones lie side by side and are taken in one step. */
Value heap_string(uint32_t flags, uint32_t length, uint32_t bytes) {
  uint64_t size = sizeof(struct String) + 8 + (((uint64_t)bytes + 7) & ~7ull);
  struct String *s;
  Value chars;
  if (size <= LARGE_LIMIT) {
    s = allocate_small((uint32_t)size);
    uint64_t *raw = (uint64_t *)(s + 1);
    *raw = HEADER(T_RAW, 0, bytes);
    chars = FROM_PTR(T_RAW, raw);
  } else {
    chars = heap_raw(T_RAW, 0, bytes);
    s = allocate_small(sizeof *s);
  }
  s->header = HEADER(T_STRING, flags, 3);
  s->length = FIX(length);
  s->chars = chars;
  s->lineage = V_FALSE;
  return FROM_PTR(T_STRING, s);
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
/* In a circle what goes two pairs at a time comes to what goes one. */
int64_t list_length(Value v) {
  int64_t n = 0;
  for (Value slow = v;; slow = CDR(slow), n += 2) {
    if (n && slow == v) return -1;
    if (!is_pair(v)) return v == V_NIL ? n : -1;
    v = CDR(v);
    if (!is_pair(v)) return v == V_NIL ? n + 1 : -1;
    v = CDR(v);
  }
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

static uint64_t copied, scanned;        /* bytes, by this collection: of small objects, of slots */

/* Large objects that are marked but not yet scanned. */
static struct large *gray;

static void mark_large(Value v) {
  CHECK(IS_HEADER(HEADER_OF(v)) && HEADER_KIND(HEADER_OF(v)) == TAG(v));
  struct large *l = (struct large *)((uint8_t *)PTR(v) - HEADER_SIZE);
  if (l->marked) return;
  l->marked = 1;
  if (KIND_IS_RAW(TAG(v))) return;
  l->gray = gray;
  gray = l;
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

/* The rest of a list is copied with its pair: it lies side by side then, and is not looked at twice. Between
   two looks at the steps, so many pairs are: the scan comes to what is left of a longer list. */
enum { LIST_ROOM = 4096 };
static uint32_t list_room;
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
    if (!list_room) return;
    list_room--;
    slot = to + 1;
  }
}

/* A string whose characters lie behind it is copied with them, and lies before them again. */
static inline bool lies_before_its_characters(const uint64_t *p) { return PAYLOAD(p[2]) == (uint32_t)(uintptr_t)(p + 4); }
static void forward_string(Value *slot, uint64_t *p) {
  uint32_t bytes = (uint32_t)sizeof(struct String) + 8 + ((HEADER_LENGTH(p[4]) + 7) & ~7u);
  uint64_t *to = allocate_small(bytes);
  copy_words(to, p, bytes);
  copied += bytes;
  to[2] = FROM_PTR(T_RAW, to + 4);
  p[0] = MAKE(T_FORWARD, (uint32_t)(uintptr_t)to);
  p[4] = MAKE(T_FORWARD, (uint32_t)(uintptr_t)(to + 4));
  *slot = FROM_PTR(T_STRING, to);
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
  if (IS(v, T_STRING) && !sealing && lies_before_its_characters(p) && IS_HEADER(p[4])) { forward_string(slot, p); return; }
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

/* While the image is made, objects are copied into two rows of blocks: what is never changed once it is made,
   and so points into the image forever, lies apart, and no later collection looks at it. */
static struct row { struct block *blocks; uint8_t *bump, *bump_end; struct block *scan_block; uint8_t *scan_at; } other_row;
static bool row_is_settled;             /* the row that blocks and the rest stand for now */

static void change_rows(void);

/* May a program, or C, store into it? What is settled: code, its names and its texts. */
static bool is_settled(Value v, uint64_t header) {
  switch (TAG(v)) {
    case T_SYMBOL: case T_KEYWORD: case T_CLOSURE: case T_TEMPLATE: return true;
    case T_STRING: return (HEADER_FLAGS(header) & H_IMMUTABLE) != 0;
    default: return KIND_IS_RAW(TAG(v));
  }
}

static void forward_into_row(Value *slot) {
  Value v = *slot;
  bool change = page_state[PAYLOAD(v) >> PAGE_SHIFT] == PAGE_FROM && is_settled(v, HEADER_OF(v)) != row_is_settled;
  if (change) change_rows();
  forward_object(slot);
  if (change) change_rows();
}

/* Every slot of an object, and of the stacks, comes by here: what leads into the image, which lies below all
   else, and what has no address is told by the upper half alone. */
static inline void forward_slot(Value *slot) {
  if (PAYLOAD(*slot) < image_end) return;
  if (IS_FIX(*slot) || TAG(*slot) < T_PAIR) return;
  if (sealing == 2) forward_into_row(slot);
  else forward_object(slot);
}
static void forward(Value *slot) { forward_slot(slot); }

static void scan_slots(Value *slots, uint32_t count) {
  _Pragma("GCC unroll 4") for (uint32_t i = 0; i < count; i++) forward_slot(slots + i);
}

/* In the image's blocks every word is a slot, or a header, which looks like what has no address: so they are gone
   through word by word, whatever the objects. Few words lead out of the image. (An ephemeron of the image keeps its value.) */
enum { SCAN_WIDTH = 16 };
#ifdef __wasm__
__attribute__((target("simd128")))
static inline v128_t upper_halves(const Value *at) {         /* four of them side by side */
  return wasm_i32x4_shuffle(wasm_v128_load(at), wasm_v128_load(at + 2), 1, 3, 5, 7);
}
__attribute__((target("simd128")))
static inline bool lead_into_image(const Value *at) {
  v128_t a = wasm_u32x4_max(upper_halves(at), upper_halves(at + 4)), b = wasm_u32x4_max(upper_halves(at + 8), upper_halves(at + 12));
  return wasm_i32x4_all_true(wasm_u32x4_lt(wasm_u32x4_max(a, b), wasm_u32x4_splat(image_end)));
}
#else
static bool lead_into_image(const Value *at) {
  for (int i = 0; i < SCAN_WIDTH; i++)
    if (PAYLOAD(at[i]) >= image_end) return false;
  return true;
}
#endif

#ifdef __wasm__
__attribute__((target("simd128")))
#endif
static void scan_words(Value *at, Value *end) {
  for (; end - at >= SCAN_WIDTH; at += SCAN_WIDTH)
    if (!lead_into_image(at)) scan_slots(at, SCAN_WIDTH);
  scan_slots(at, (uint32_t)(end - at));
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

/* ---- a collection in pieces ----
 * A collection of a large heap takes longer than a slice. So it goes step by step: where the slice's
 * steps are used up it stands still in one of the phases below, and heap_collect, called again in the
 * next slice, goes on there. Nothing runs meanwhile but the mailbox, which may allocate: what it makes is
 * new, so neither copied nor scanned, and holds no Values. */
static enum phase { ROOTS, IMAGE_BLOCKS, IMAGE_LARGES, SCAN, EPHEMERONS, BREAK } phase;
enum { BYTES_A_STEP = 16,             /* copied or scanned: few, since each may be far from the last in memory */
       CHUNK = 2048 };                /* bytes scanned, or slots of a large object, between two looks at the steps */
static uint64_t charged;              /* of copied + scanned */
static uint32_t root_at;              /* ROOTS: how many have been visited */
static struct block *from_blocks;     /* where objects are copied from */
static struct block *scan_block;      /* the block of the image, or of copies, where the scan has come to */
static uint8_t *scan_at;
static struct large *scan_object;     /* the large object where the scan has come to, and how many of its slots are done */
static uint32_t scan_slot;
static Value *ephemeron_link;         /* EPHEMERONS: where the chain is being gone through */
static uint32_t ephemeron_round;
static bool ephemeron_kept;

/* Charges what was done since the last look. */
static bool slice_is_over(void) {
  uint64_t done = (copied + scanned - charged) / BYTES_A_STEP;
  charged += done * BYTES_A_STEP;
  vm.hidden_steps -= (int64_t)done;
  list_room = LIST_ROOM;
  return vm.hidden_steps <= 0;
}

/* Scan objects from `from` to the first that begins at or after `to`. */
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
    } else if (HEADER_KIND(word) == T_STRING && !sealing) {
      uint64_t *string = (uint64_t *)from;
      if (string[3] != V_FALSE) forward_slot(string + 3);
      from += sizeof(struct String);
      if (lies_before_its_characters(string)) from += 8 + ((HEADER_LENGTH(string[4]) + 7) & ~7u);
      else forward_slot(string + 2);
    } else {
      if (HEADER_KIND(word) == T_EPHEMERON && !sealing) chain_ephemeron(from);
      else scan_slots((Value *)from + 1, HEADER_LENGTH(word));
      from += 8 + HEADER_LENGTH(word) * 8;
    }
  }
  return from;
}

/* Scan the block from scan_at, as far as objects go: false where the slice is over first. */
static bool scan_objects(struct block *b) {
  for (;;) {
    uint8_t *end = b == blocks ? heap_bump : (uint8_t *)b + b->used;
    CHECK(scan_at <= end);              /* objects lie side by side */
    if (scan_at == end) return true;
    uint8_t *to = (uint32_t)(end - scan_at) > CHUNK ? scan_at + CHUNK : end, *before = scan_at;
    scan_at = scan_range(scan_at, to);
    if (phase == SCAN) scanned += (uint32_t)(scan_at - before);
    if (slice_is_over()) return false;
  }
}

static void change_rows(void) {
  struct row row = {blocks, heap_bump, heap_bump_end, scan_block, scan_at};
  blocks = other_row.blocks;
  heap_bump = other_row.bump;
  heap_bump_end = other_row.bump_end;
  scan_block = other_row.scan_block;
  scan_at = other_row.scan_at;
  other_row = row;
  row_is_settled = !row_is_settled;
}

/* Scan the rest of scan_object: false where the slice is over first. */
static bool scan_large(void) {
  uint64_t *p = (uint64_t *)((uint8_t *)scan_object + HEADER_SIZE);
  uint32_t length = KIND_IS_RAW(HEADER_KIND(*p)) ? 0 : HEADER_LENGTH(*p);
  while (scan_slot < length) {
    uint32_t n = length - scan_slot < CHUNK ? length - scan_slot : CHUNK;
    scan_words((Value *)p + 1 + scan_slot, (Value *)p + 1 + scan_slot + n);
    scan_slot += n;
    scanned += n * 8ull;
    if (slice_is_over()) return false;
  }
  return true;
}

static bool scan_roots(void) {
  do {
    if (root_at < root_count) forward(roots[root_at++]);
    else {
      uint32_t n = client->scan_roots(forward, root_at - root_count, CHUNK / 8);
      root_at += n;
      if (!n) return true;
    }
  } while (!slice_is_over());
  return false;
}

static bool scan_image_blocks(void) {
  for (; scan_block; scan_block = scan_block->next) {
    if (!scan_at) scan_at = (uint8_t *)scan_block + HEADER_SIZE;
    uint8_t *end = (uint8_t *)scan_block + scan_block->used;
    while (scan_at < end) {
      uint8_t *to = end - scan_at > CHUNK ? scan_at + CHUNK : end;
      scan_words((Value *)scan_at, (Value *)to);
      scan_at = to;
      if (slice_is_over()) return false;
    }
    scan_at = NULL;
  }
  return true;
}

#ifdef RLM_DEBUG
/* What is settled does not lead out of the image: nobody has changed it. */
static void check_settled(void) {
  for (struct block *b = settled_blocks; b; b = b->next)
    for (uint8_t *at = (uint8_t *)b + HEADER_SIZE; at < (uint8_t *)b + b->used;) {
      uint64_t word = *(uint64_t *)at;
      CHECK(IS_HEADER(word));
      bool raw = KIND_IS_RAW(HEADER_KIND(word));
      for (uint32_t i = 0; i < (raw ? 0 : HEADER_LENGTH(word)); i++) {
        Value v = ((Value *)at)[i + 1];
        CHECK(IS_FIX(v) || TAG(v) < T_PAIR || page_state[PAYLOAD(v) >> PAGE_SHIFT] == PAGE_IMAGE);
      }
      at += 8 + (raw ? (HEADER_LENGTH(word) + 7) & ~7u : HEADER_LENGTH(word) * 8);
    }
}
#else
static void check_settled(void) {}
#endif

static bool scan_image_larges(void) {
  for (; scan_object; scan_object = scan_object->next, scan_slot = 0)
    if (scan_object->image && !scan_large()) return false;
  return true;
}

/* Scan the copies that are in blocks, in the order of the blocks' birth: new ones are pushed in front of `blocks`. */
static bool scan_copies(void) {
  if (!scan_block && blocks) {
    struct block *b = blocks;
    while (b->next) b = b->next;        /* the oldest: there are few yet */
    scan_block = b;
    scan_at = (uint8_t *)b + HEADER_SIZE;
  }
  while (scan_block) {
    if (!scan_objects(scan_block)) return false;
    if (!scan_block->younger) break;
    scan_block = scan_block->younger;
    scan_at = (uint8_t *)scan_block + HEADER_SIZE;
  }
  return true;
}

/* Scan what has been copied or marked until nothing is left. */
static bool scan_all(void) {
  for (;;) {
    if (!scan_copies()) return false;
    if (other_row.blocks && (other_row.scan_block != other_row.blocks || other_row.scan_at != other_row.bump)) {
      change_rows();
      continue;
    }
    if (!scan_object) {
      if (!gray) return true;
      scan_object = gray;
      scan_slot = 0;
      gray = gray->gray;
    }
    if (!scan_large()) return false;
    scan_object = NULL;                 /* and look again for what its slots brought */
  }
}

/* Is there an ephemeron in the chain whose key turned out to be alive? Keep their values. A value
   may keep the next key, so this is repeated; after many rounds all are taken for alive, so that a
   long chain does not make a collection quadratic. */
enum { EPHEMERON_ROUNDS = 64 };
static bool keep_values(void) {
  if (!ephemeron_link) { ephemeron_link = &ephemerons; ephemeron_kept = false; }
  for (uint32_t n = 1; *ephemeron_link != V_FALSE; n++) {
    Value e = *ephemeron_link;
    scanned += 32;
    if (ephemeron_round < EPHEMERON_ROUNDS && !is_alive(SLOTS(e)[EPHEMERON_KEY])) {
      ephemeron_link = &SLOTS(e)[EPHEMERON_BROKEN];
    } else {
      *ephemeron_link = SLOTS(e)[EPHEMERON_BROKEN];
      SLOTS(e)[EPHEMERON_BROKEN] = V_FALSE;
      scan_slots(SLOTS(e), 2);
      ephemeron_kept = true;
    }
    if (n % 64 == 0 && slice_is_over()) return false;
  }
  ephemeron_link = NULL;
  ephemeron_round++;
  return true;
}
static bool break_ephemerons(void) {
  for (uint32_t n = 1; ephemerons != V_FALSE; n++) {
    Value e = ephemerons;
    ephemerons = SLOTS(e)[EPHEMERON_BROKEN];
    SLOTS(e)[EPHEMERON_KEY] = SLOTS(e)[EPHEMERON_VALUE] = V_FALSE;
    SLOTS(e)[EPHEMERON_BROKEN] = V_TRUE;
    scanned += 32;
    if (n % 64 == 0 && slice_is_over()) return false;
  }
  return true;
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

static void begin_collection(void) {
  client->before_collection();
  if (!sealing) check_settled();
  for (struct block *b = blocks; b; b = b->next) memset(page_state + ((uintptr_t)b >> PAGE_SHIFT), PAGE_FROM, b->pages);
  from_blocks = blocks;
  from_pages = small_pages;
  blocks = NULL;
  heap_bump = heap_bump_end = NULL;
  small_pages = 0;
  copied = scanned = charged = 0;
  root_at = 0;
  scan_block = NULL;
  scan_object = gray = NULL;
  scan_at = NULL;
  scan_slot = 0;
  ephemerons = V_FALSE;
  ephemeron_link = NULL;
  ephemeron_round = 0;
  list_room = LIST_ROOM;
  epoch++;
  phase = ROOTS;
}

/* The phases, in their order; false where the slice is over. */
static bool continue_collection(void) {
  for (;;) {
    switch (phase) {
      case ROOTS:
        if (!scan_roots()) return false;
        scan_block = image_blocks;
        phase = IMAGE_BLOCKS;
        break;
      case IMAGE_BLOCKS:
        if (!scan_image_blocks()) return false;
        scan_object = larges;
        phase = IMAGE_LARGES;
        break;
      case IMAGE_LARGES:
        if (!scan_image_larges()) return false;
        phase = SCAN;
        break;
      case SCAN:
        if (!scan_all()) return false;
        phase = EPHEMERONS;
        break;
      case EPHEMERONS:
        if (!keep_values()) return false;
        phase = ephemeron_kept ? SCAN : BREAK;
        break;
      case BREAK: return break_ephemerons();
    }
  }
}

static void end_collection(void) {
  while (from_blocks) {
    struct block *next = from_blocks->next;
    release_run(from_blocks, from_blocks->pages);
    from_blocks = next;
  }
  from_pages = 0;
  sweep_large();
  client->after_collection();
  allocated = 0;
  short_of_memory = false;
#ifdef RLM_DEBUG
  since_collection = 0;
#endif
  /* As much again as lives, so that the work of collecting stays in proportion. What a program builds up at
     first is copied less often than that. */
  uint64_t live = ((uint64_t)small_pages + large_pages / 4) * PAGE, after = live;
  if (after < SMALL_HEAP) after = 3 * live < SMALL_HEAP ? 3 * live : SMALL_HEAP;
  collect_after = after > COLLECT_AFTER ? after : COLLECT_AFTER;
  collected += copied + scanned;
}

bool heap_collecting(void) { return collecting; }

bool heap_collect(void) {
  vm.hidden_steps = steps_left();
  vm.steps = 0;
  vm.collect = true;                    /* so that copying does not ask for a collection */
  if (!collecting) {
    collecting = true;
    begin_collection();
  }
  if (!continue_collection()) return false;
  end_collection();
  vm.steps = vm.hidden_steps;
  vm.collect = false;
  collecting = false;
  return true;
}

/* The blocks of a row become part of the image. */
static void seal_blocks(struct block **image) {
  if (blocks) blocks->used = (uint32_t)(heap_bump - (uint8_t *)blocks);
  for (struct block *b = blocks; b; b = b->next) {
    memset(page_state + ((uintptr_t)b >> PAGE_SHIFT), PAGE_IMAGE, b->pages);
    memset((uint8_t *)b + b->used, 0, b->pages * PAGE - b->used);
  }
  while (*image) image = &(*image)->next;
  *image = blocks;
  blocks = NULL;
  heap_bump = heap_bump_end = NULL;
}

/* The image should be small and dense, at the low end of memory: a fresh instance maps it whole. */
void heap_seal(void) {
  for (sealing = 1; sealing <= 2; sealing++) {
    search_from = sealing == 1 ? end_page : first_page;
    while (!heap_collect()) {}
  }
  sealing = 0;
  if (row_is_settled) change_rows();
  seal_blocks(&image_blocks);
  change_rows();
  seal_blocks(&settled_blocks);
  row_is_settled = false;
  other_row = (struct row){0};
  image_pages += small_pages;
  small_pages = 0;
  for (struct large *l = larges; l; l = l->next) {
    l->image = 1;
    memset(page_state + ((uintptr_t)l >> PAGE_SHIFT), PAGE_IMAGE, l->pages);
  }
  image_pages += large_pages;
  large_pages = 0;
  uint32_t used = first_page;
  for (uint32_t p = first_page; p < end_page; p++)
    if (page_state[p] != PAGE_FREE) used = p + 1;
  image_end = used << PAGE_SHIFT;
#ifdef __wasm__
  for (uint32_t p = first_page; p < end_page; p++)     /* stale copies would only fatten the image */
    if (page_state[p] == PAGE_FREE) memset((void *)(uintptr_t)((uintptr_t)p << PAGE_SHIFT), 0, PAGE);
  /* the shipped module's memory ends here (see rlm.h): with room for what most programs hold, so that they need no
     memory.grow: the host uses such an instance again, whose pages are there already */
  end_page = (used + SPARE_PAGES + 15) & ~15u;
#endif
  free_pages = spare_pages = 0;
  touched_end = first_page;
  for (uint32_t p = first_page; p < end_page; p++) free_pages += page_state[p] == PAGE_FREE;
  search_from = first_page;
  allocated = 0;
  collect_after = COLLECT_AFTER;
}

uint64_t heap_used(void) {
  uint64_t used = ((uint64_t)small_pages + large_pages) * PAGE;
  if (from_pages > small_pages) return ((uint64_t)from_pages + large_pages) * PAGE;   /* what is not yet known to be dead */
  return heap_bump ? used - (uint64_t)(heap_bump_end - heap_bump) : used;
}
uint32_t heap_image_end(void) { return image_end >> PAGE_SHIFT; }
uint32_t heap_touched_end(void) { return touched_end; }
uint64_t heap_collected(void) { return collecting ? collected + copied + scanned : collected; }
uint32_t heap_epoch(void) { return epoch; }
/* After a collection: is there room to go on, with `bytes` wanted by a primitive? */
/* In one run with a block or two: what the primitive allocates first may come from there. */
bool heap_has_room(uint64_t bytes) {
  return room_for(2 * BLOCK_PAGES) && (!bytes || (bytes < UINT64_MAX / 4 && heap_reserve(bytes + 2 * BLOCK_PAGES * PAGE)));
}

/* Pages outside the heap hold C data. They count as used, but for the stacks' unused parts. Of C's own stack
   that is everything: the host looks at memory when no function of the guest's is running. */
const uint8_t *heap_page_map(void) {
  memset(page_state, PAGE_IMAGE, first_page);
  uintptr_t ranges[6] = {0};
  client->unused_memory(ranges);
#ifdef __wasm__
  ranges[4] = (uintptr_t)&__stack_low;
  ranges[5] = (uintptr_t)&__stack_high;
#endif
  for (int i = 0; i < 6; i += 2)
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
