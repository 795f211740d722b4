/* core.h — the functions that the files of the core offer to each other, by file. */
#ifndef RLM_CORE_H
#define RLM_CORE_H
#include "vm.h"

/* ---- symbol.c ---- */
Value intern(const char *name);                       /* UTF-8, NUL-terminated */
Value intern_string(Value string);                    /* copies the name if it is mutable */
Value keyword_string(Value string);                   /* the keyword of that name */
Value gensym(const char *prefix);

/* ---- string.c ---- */
Value string_from_utf8(const char *utf8, size_t bytes);  /* ill-formed input: U+FFFD a maximal subpart */
Value string_from_c(const char *utf8);
Value string_make(uint32_t length, uint32_t width);      /* width 1, 2 or 4; characters not initialised */
Value string_substring(Value s, uint32_t start, uint32_t end); /* narrowest width is not required; keeps lineage */
void string_put(Value s, uint32_t i, uint32_t c);        /* c must fit the width */
uint32_t string_utf8_length(Value s);
uint32_t string_to_utf8(Value s, uint8_t *out);          /* returns bytes written; lone surrogates as U+FFFD */
bool string_equal(Value a, Value b);
int string_compare(Value a, Value b);                    /* by code point: <0, 0, >0 */
uint64_t string_hash(Value s);
Value lineage_union(Value a, Value b);                   /* of two lineage slots; #f with #f is #f at once */

/* A growing string: the characters are kept in a T_RAW that doubles. Lives across V_AGAIN where
   kept in Values (save/restore: builder_save gives a Value, builder_load takes it back). */
typedef struct { Value chars; uint32_t length, width; Value lineage; } Builder;
void builder_init(Builder *b);
void builder_char(Builder *b, uint32_t c);
void builder_c(Builder *b, const char *utf8);
void builder_string(Builder *b, Value s);
Value builder_finish(Builder *b);                        /* a fresh string */
Value builder_save(Builder *b);
void builder_load(Builder *b, Value saved);

/* ---- unicode.c ---- */
bool uc_alphabetic(uint32_t c); bool uc_numeric(uint32_t c); bool uc_whitespace(uint32_t c);
bool uc_upper(uint32_t c); bool uc_lower(uint32_t c);
uint32_t uc_upcase(uint32_t c); uint32_t uc_downcase(uint32_t c); uint32_t uc_titlecase(uint32_t c); uint32_t uc_foldcase(uint32_t c);
int uc_digit_value(uint32_t c);                          /* -1: none */
int uc_category(uint32_t c);                             /* general category, numbered as in unicode.h */

/* ---- number.c (with bignum.c, numread.c, numprint.c) ---- */
Value int_from_i64(int64_t n);
Value int_from_u64(uint64_t n);
Value int_from_bytes(const uint8_t *big_endian, uint32_t count, bool negative);   /* CBOR bignums */
uint32_t int_byte_length(Value n);                        /* of the magnitude */
void int_to_bytes(Value n, uint8_t *big_endian);          /* magnitude, int_byte_length bytes */
void numbers_init(void);                               /* at boot */
bool is_number(Value v);
bool is_real(Value v);
bool is_exact_integer(Value v);
bool num_is_exact(Value v);
double num_to_double(Value real);
/* Generic arithmetic on any numbers: a value, or a signal (V_ERROR for a non-number: the error
   names `+` and the argument; V_AGAIN where memory is short). */
Value num_add(Value a, Value b); Value num_sub(Value a, Value b);
Value num_mul(Value a, Value b); Value num_div(Value a, Value b);
Value num_quotient(Value a, Value b); Value num_remainder(Value a, Value b); Value num_modulo(Value a, Value b);
/* The same as primitives and instructions do them: a long operation pauses at the end of the time
   slice, V_AGAIN with its progress in vm.resume. Only for a caller that has nothing there itself. */
Value num_add_pausing(Value a, Value b); Value num_sub_pausing(Value a, Value b);
Value num_mul_pausing(Value a, Value b); Value num_div_pausing(Value a, Value b);
Value num_compare(const char *who, Value a, Value b, int *order); /* order: -1 0 1, 2 unordered (NaN); V_TRUE or V_ERROR */
bool num_eqv(Value a, Value b);                           /* eqv? on two numbers */
uint64_t num_hash(Value n);                               /* consistent with eqv? */
Value num_parse(const uint32_t *chars, uint32_t count, int radix); /* V_FALSE where it is no number */
Value num_to_string(Value n, int radix);                  /* as `display` shows it (1e21, 1e-7, +inf.0); charged */

/* ---- equal.c ---- */
bool is_eqv(Value a, Value b);
Value prim_equal(int argc, Value *args);                  /* resumable */
/* A structural hash, consistent with equal?, of at most a bounded number of nodes: O(1) stack. */
uint64_t equal_hash(Value v);
uint64_t eqv_hash(Value v);                               /* eq hash of moving objects: see table.c */

/* ---- table.c ---- */
enum table_kind { TABLE_EQUAL, TABLE_EQV, TABLE_EQ, TABLE_STRING };
Value table_make(enum table_kind kind, bool immutable);
Value table_get(Value table, Value key, Value otherwise); /* no guest procedure is called */
void table_set(Value table, Value key, Value value);      /* mutable tables; small growth fits the headroom */
uint32_t table_count(Value table);
/* iterate in insertion order: position starts at 0; false at the end */
bool table_next(Value table, uint32_t *position, Value *key, Value *value);

/* ---- regexp.c ---- */
Value regexp_make(Value source, bool px);                 /* a regexp, or a signal */
Value regexp_source(Value regexp);                        /* its string */
bool regexp_is_px(Value regexp);

/* ---- print.c ---- */
/* A bounded rendering for error messages: at most `most` characters then "...", never resumes,
   never charges more than `most`, safe on cycles. */
void print_bounded(Builder *out, Value v, bool write, uint32_t most);

/* ---- read.c ---- */
/* (%make-reader string source-name) and (%read-datum reader) are primitives; see read.c. */

/* ---- cbor.c ---- */
/* (%cbor-encode value) -> bytevector and (%cbor-decode bytevector) -> value; both resumable.
   main.c uses them through the prelude's message loop. */

/* ---- record.c, error.c: built-in exn types ---- */
Value exn_type(const char *name);                          /* the rtd of a built-in condition type */
void error_of_caller(void);                              /* that error is the caller's fault: its place counts */
void error_irritants(Value list);                        /* of the error that was made just now */
Value error_shown(Value v);                                /* a value as messages show it: printed, bounded */

/* the core environment, at boot */
void define_global(const char *name, Value v);
Value global_cell(Value symbol);                           /* in the core environment; made unbound where missing */
#endif
