/* value.h — how a Scheme value looks in linear memory.
 *
 * A Value is 64 bits. Bit 0 set: a fixnum, the other 63 bits are the integer. Otherwise the low
 * 32 bits are one of the tags below and the high 32 bits are an address (heap objects) or a
 * payload (immediates). The tag alone tells the type, so a type test never touches memory.
 *
 * A heap object starts with a header word, except a pair, which is two bare slots. What follows
 * a header is either all Values (the collector scans them) or all raw bytes (it does not).
 */
#ifndef RLM_VALUE_H
#define RLM_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t Value;

enum tag {
  /* immediates */
  T_SPECIAL = 0x00,  /* #f () #t void eof ...: see V_FALSE and the rest */
  T_CHAR = 0x02,     /* payload: the code point */
  T_PRIM = 0x04,     /* payload: index in the table of primitives */
  T_SIGNAL = 0x06,   /* what a primitive returns instead of a value: V_ERROR, V_AGAIN, V_TAIL */
  T_HEADER = 0x08,   /* never a value: marks an object's first word */
  T_FORWARD = 0x0a,  /* never a value: left by the collector where an object was */

  /* pairs; an LPAIR (made by the reader from program text) has a header with its place in front
     of its car. Test with is_pair, never by == T_PAIR. */
  T_PAIR = 0x10,
  T_LPAIR = 0x12,

  /* raw objects: header.length counts bytes */
  T_FLONUM = 0x20,   /* one double */
  T_BIGNUM = 0x22,   /* little-endian uint32_t limbs, no leading zero limb; H_NEGATIVE flag */
  T_BYTES = 0x24,    /* bytevector; H_IMMUTABLE flag */
  T_RAW = 0x26,      /* untyped storage: string characters, code, hash indexes */
  T_UVECTOR = 0x28,  /* numbers of one machine type: see data/uvector.h; H_IMMUTABLE flag */

  /* objects of Value slots: header.length counts slots */
  T_RATIO = 0x30,    /* numerator, denominator: exact integers, lowest terms, denominator > 1 */
  T_COMPLEX = 0x32,  /* real part, imaginary part: reals */
  T_STRING = 0x34,   /* see struct String */
  T_SYMBOL = 0x36,   /* see struct Symbol */
  T_KEYWORD = 0x38,  /* struct Symbol too */
  T_VECTOR = 0x3a,   /* H_IMMUTABLE flag */
  T_CLOSURE = 0x3c,  /* template, captured values */
  T_CASE = 0x3e,     /* case-lambda: closures, tried in order by arity */
  T_TEMPLATE = 0x40, /* compiled code: see core/template.h */
  T_CONT = 0x42,     /* a captured continuation: see vm/continuation.c */
  T_BOX = 0x44,      /* one slot: an assigned and captured variable; also Racket's box */
  T_CELL = 0x46,     /* a global variable: see struct Cell */
  T_RECORD = 0x48,   /* rtd, fields */
  T_RTD = 0x4a,      /* a record type: see struct Rtd */
  T_TABLE = 0x4c,    /* a hash table: see data/table.h */
  T_ENV = 0x4e,      /* an environment (compile time and run time): see expander/env.h */
  T_MACRO = 0x50,    /* a transformer: see expander/expand.h */
  T_SYNTAX = 0x52,   /* a syntactic closure (env, free names, expr); an identifier where expr is one */
  T_VALUES = 0x54,   /* multiple values (never exactly one) */
  T_PORT = 0x56,     /* see io/port.h */
  T_REGEXP = 0x58,   /* see text/regexp.h */
  T_EPHEMERON = 0x5a,/* key, datum, broken?: see core/heap.c */
  T_ENVVAR = 0x5c,   /* a lexical variable while a form is compiled: see compiler/ast.h */
  T_PROMISE = 0x5e,  /* one slot: see prelude */
};

/* ---- words ---- */
#define TAG(v) ((uint32_t)(v))
#define PAYLOAD(v) ((uint32_t)((v) >> 32))
#define MAKE(tag, payload) (((Value)(uint32_t)(payload) << 32) | (Value)(tag))
#define PTR(v) ((void *)(uintptr_t)PAYLOAD(v))
#define FROM_PTR(tag, p) MAKE(tag, (uint32_t)(uintptr_t)(p))

#define V_FALSE ((Value)0)                 /* so that truth is v != 0 */
#define V_NIL MAKE(T_SPECIAL, 1)
#define V_TRUE MAKE(T_SPECIAL, 2)
#define V_VOID MAKE(T_SPECIAL, 3)
#define V_EOF MAKE(T_SPECIAL, 4)
#define V_DEFAULT MAKE(T_SPECIAL, 5)       /* an optional parameter that was not given */
#define V_UNBOUND MAKE(T_SPECIAL, 6)       /* in a cell or letrec variable before its definition */
#define V_NULL MAKE(T_SPECIAL, 7)          /* JSON null, CBOR null */

#define V_ERROR MAKE(T_SIGNAL, 1)          /* vm.error holds the condition to raise */
#define V_AGAIN MAKE(T_SIGNAL, 2)          /* call me again with the same arguments; see core/prims.h */
#define V_TAIL MAKE(T_SIGNAL, 3)           /* call vm.tail_proc with vm.tail_args in my place */
#define V_CAPTURE MAKE(T_SIGNAL, 4)        /* call vm.tail_proc with the current continuation */
#define V_WAIT MAKE(T_SIGNAL, 5)           /* suspend the machine until a message comes: %wait */
#define V_PANIC MAKE(T_SIGNAL, 6)          /* an error that nobody handles: vm.tail_args[0] */
#define V_CUSTOM MAKE(T_SIGNAL, 7)         /* types with an equality of their own: the prelude's hook does it in my place */
#define IS_SIGNAL(v) (TAG(v) == T_SIGNAL)

#define TRUTH(v) ((v) != V_FALSE)
#define BOOL(c) ((c) ? V_TRUE : V_FALSE)

/* ---- fixnums: 63 bits ---- */
#define IS_FIX(v) ((v) & 1)
#define FIX(n) ((Value)(((uint64_t)(int64_t)(n) << 1) | 1))
#define FIX_VALUE(v) ((int64_t)(v) >> 1)
#define FIX_MAX ((int64_t)0x3fffffffffffffff)
#define FIX_MIN (-FIX_MAX - 1)
#define FITS_FIX(n) ((int64_t)(n) >= FIX_MIN && (int64_t)(n) <= FIX_MAX)

/* ---- characters ---- */
#define CHAR(c) MAKE(T_CHAR, c)
#define CHAR_VALUE(v) PAYLOAD(v)

/* ---- headers ---- */
#define HEADER(kind, flags, length) \
  MAKE((uint32_t)T_HEADER | ((uint32_t)(kind) << 8) | ((uint32_t)(flags) << 16), length)
#define HEADER_OF(v) (*(uint64_t *)PTR(v))
#define HEADER_KIND(h) (((uint32_t)(h) >> 8) & 0xff)
#define HEADER_FLAGS(h) ((uint32_t)(h) >> 16)
#define HEADER_LENGTH(h) ((uint32_t)((h) >> 32))
#define IS_HEADER(w) (((uint32_t)(w) & 0xff) == T_HEADER)
#define OBJ_LENGTH(v) HEADER_LENGTH(HEADER_OF(v))   /* slots, or bytes of a raw object */
#define OBJ_FLAGS(v) HEADER_FLAGS(HEADER_OF(v))
#define SET_FLAG(v, f) (HEADER_OF(v) |= (uint64_t)(f) << 16)
#define KIND_IS_RAW(k) ((k) >= T_FLONUM && (k) <= T_UVECTOR)

enum header_flags {
  H_IMMUTABLE = 1,   /* literals, symbol names, immutable hashes */
  H_NEGATIVE = 2,    /* bignum sign */
  H_WIDTH1 = 0,      /* string character width, bits 2-3: 1, 2 or 4 bytes */
  H_WIDTH2 = 4,
  H_WIDTH4 = 8,
  H_WIDTH_MASK = 12,
  H_OF_BYTES = 2,    /* regexp: its results are bytes */
  H_UNINTERNED = 16, /* gensym */
  H_TEXT_APART = 16, /* bytevector: a message that ends with the head of a text, whose characters are vm.long_text */
  H_TYPE_MASK = 480, /* bits 5-8: a uniform vector's type */
  H_WATCHED = 32,    /* symbol: a name that a form is looked through for (survey.c: asks) */
  H_LARGE = 0x4000,  /* in the large-object space: core/heap.c's own */
};

/* slots of a Value object, and bytes of a raw one */
#define SLOTS(v) ((Value *)PTR(v) + 1)
#define RAW_BYTES(v) ((uint8_t *)PTR(v) + 8)

/* ---- type tests ---- */
#define IS(v, tag) (TAG(v) == (uint32_t)(tag))
static inline bool is_pair(Value v) { return (TAG(v) | 2u) == T_LPAIR; }
static inline bool is_procedure(Value v);

/* ---- pairs ---- */
#define CAR(v) (((Value *)PTR(v))[0])
#define CDR(v) (((Value *)PTR(v))[1])
#define CADR(v) CAR(CDR(v))
#define CDDR(v) CDR(CDR(v))
#define CADDR(v) CAR(CDDR(v))
/* place of an LPAIR: line in the high 20 bits, column in the low 12, both from 1, saturating;
   0 where unknown. The place of the pair's opening bracket or, for a later pair of a list, of
   its car. */
static inline uint32_t pair_place(Value v) { return IS(v, T_LPAIR) ? (uint32_t)((((uint64_t *)PTR(v))[-1]) >> 32) : 0; }
#define PLACE(line, column) \
  (((uint32_t)((line) > 0xfffff ? 0xfffff : (line)) << 12) | (uint32_t)((column) > 0xfff ? 0xfff : (column)))
#define PLACE_LINE(p) ((p) >> 12)
#define PLACE_COLUMN(p) ((p) & 0xfff)

/* ---- flonums, bignums, ratios, complex ---- */
#define FLO_VALUE(v) (*(double *)RAW_BYTES(v))
#define BIG_LIMBS(v) ((uint32_t *)RAW_BYTES(v))
#define BIG_COUNT(v) (OBJ_LENGTH(v) / 4)
#define BIG_NEGATIVE(v) ((OBJ_FLAGS(v) & H_NEGATIVE) != 0)
#define NUMERATOR(v) (SLOTS(v)[0])
#define DENOMINATOR(v) (SLOTS(v)[1])
#define REAL_PART(v) (SLOTS(v)[0])
#define IMAG_PART(v) (SLOTS(v)[1])

/* ---- strings: characters all of one width (1, 2 or 4 bytes: the widest needed so far) in a
 * T_RAW object, so that indexing is O(1), ASCII is compact, and string-set! can widen in place. */
struct String {
  uint64_t header;
  Value length;      /* fixnum: characters */
  Value chars;       /* T_RAW, at least length * width bytes */
  Value lineage;     /* #f, or the list of LLM call ids (fixnums, ascending) that the text derives from */
};
#define STR(v) ((struct String *)PTR(v))
#define STR_LENGTH(v) ((uint32_t)FIX_VALUE(STR(v)->length))
#define STR_WIDTH(v) (1u << ((OBJ_FLAGS(v) & H_WIDTH_MASK) >> 2))
#define STR_DATA(v) RAW_BYTES(STR(v)->chars)
static inline uint32_t string_char(Value s, uint32_t i) {
  switch (OBJ_FLAGS(s) & H_WIDTH_MASK) {
    case H_WIDTH1: return STR_DATA(s)[i];
    case H_WIDTH2: return ((uint16_t *)STR_DATA(s))[i];
    default: return ((uint32_t *)STR_DATA(s))[i];
  }
}

/* ---- symbols and keywords: interned, name immutable ---- */
struct Symbol {
  uint64_t header;
  Value name;        /* string, immutable; a keyword's has no #: */
  Value hash;        /* fixnum */
  Value letters;     /* fixnum: which there are, for text/near.c */
};
#define SYM(v) ((struct Symbol *)PTR(v))

/* ---- vectors, bytevectors ---- */
#define VEC_LENGTH(v) OBJ_LENGTH(v)
#define VEC(v) SLOTS(v)
#define BYTES_LENGTH(v) OBJ_LENGTH(v)
#define BYTES(v) RAW_BYTES(v)

/* ---- closures ---- */
#define CLOSURE_TEMPLATE(v) (SLOTS(v)[0])
#define CLOSURE_FREE(v, i) (SLOTS(v)[1 + (i)])

/* ---- global variables ---- */
struct Cell {
  uint64_t header;
  Value value;       /* V_UNBOUND before its definition */
  Value name;        /* symbol */
  Value flags;       /* fixnum of CELL_ flags */
};
enum { CELL_PROTECTED = 1, /* a scaffold binding: no define or set! from a program */
       CELL_LAZY = 2,      /* value is a thunk to call at first reference, its result is stored (context) */
       CELL_IMPORTED = 4,  /* the REPL environment's copy of a library's binding, not yet redefined */
       CELL_CONSTANT = 8 };/* never assigned after its definition: a primitive that the compiler may inline */
#define CELL(v) ((struct Cell *)PTR(v))

/* ---- records ---- */
struct Rtd {
  uint64_t header;
  Value name;        /* symbol, as printed */
  Value parent;      /* rtd or #f */
  Value fields;      /* vector of symbols: own and inherited, in slot order */
  Value depth;       /* fixnum: number of ancestors */
  Value ancestors;   /* vector: ancestors[i] is the ancestor at depth i; own at [depth] */
  Value apply;       /* #f, or a procedure: an instance called as (r a ...) calls (apply r a ...) */
  Value printer;     /* #f, or (lambda (record) datum-to-print): the printer calls back through the prelude */
  Value flags;       /* fixnum of RTD_ flags */
  Value properties;  /* alist, the prelude's */
};
enum { RTD_TRANSPARENT = 1, /* equal? and printing look inside */
       RTD_MUTABLE = 2, RTD_SEALED = 4, RTD_OPAQUE = 8,
       RTD_PREFAB = 16,
       RTD_SET = 32,       /* one field, a table whose keys are the members */
       RTD_EQUAL = 64,     /* equal? is what the type's own procedure says: V_CUSTOM */
       RTD_SCOPED = 128,   /* it stands for a text that has to be unwrapped */
       RTD_OPEN = 256 };   /* equal? looks inside, printing does not: a library's define-record-type */
#define RTD(v) ((struct Rtd *)PTR(v))
#define RECORD_RTD(v) (SLOTS(v)[0])
#define RECORD_FIELD(v, i) (SLOTS(v)[1 + (i)])
static inline bool rtd_is_a(Value rtd, Value ancestor) {
  int64_t d = FIX_VALUE(RTD(ancestor)->depth);
  return FIX_VALUE(RTD(rtd)->depth) >= d && VEC(RTD(rtd)->ancestors)[d] == ancestor;
}
static inline bool record_is_a(Value v, Value rtd) { return IS(v, T_RECORD) && rtd_is_a(RECORD_RTD(v), rtd); }

static inline bool is_procedure(Value v) {
  return IS(v, T_CLOSURE) || IS(v, T_PRIM) || IS(v, T_CASE) || IS(v, T_CONT) ||
         (IS(v, T_RECORD) && TRUTH(RTD(RECORD_RTD(v))->apply));
}

#endif
