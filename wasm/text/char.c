/* char.c — procedures on characters. */
#include "core/prims.h"
#include "text/symbol.h"
#include "text/unicode.h"
#include "text/utf8.h"

static Value prim_is_char(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_CHAR)); }

static Value prim_char_to_integer(int argc, Value *args) {
  (void)argc;
  CHECK_CHAR(NULL, 0);
  return FIX(CHAR_VALUE(args[0]));
}

static Value prim_integer_to_char(int argc, Value *args) {
  (void)argc;
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0 || FIX_VALUE(args[0]) > 0x10ffff ||
      (FIX_VALUE(args[0]) >= 0xd800 && FIX_VALUE(args[0]) < 0xe000))
    return err_type(NULL, 0, "Unicode scalar value (0 to #xD7FF or #xE000 to #x10FFFF)", args[0]);
  return CHAR(FIX_VALUE(args[0]));
}

/* ---- comparisons ---- */

static uint32_t as_is(uint32_t c) { return c; }

#define COMPARISON(name, key, op) \
  static Value name(int argc, Value *args) { \
    bool all = true; \
    for (int i = 0; i < argc; i++) CHECK_CHAR(NULL, i); \
    for (int i = 1; i < argc; i++) all = all && key(CHAR_VALUE(args[i - 1])) op key(CHAR_VALUE(args[i])); \
    return BOOL(all); \
  }
COMPARISON(prim_char_eq, as_is, ==)
COMPARISON(prim_char_lt, as_is, <)
COMPARISON(prim_char_gt, as_is, >)
COMPARISON(prim_char_le, as_is, <=)
COMPARISON(prim_char_ge, as_is, >=)
COMPARISON(prim_char_ci_eq, uc_foldcase, ==)
COMPARISON(prim_char_ci_lt, uc_foldcase, <)
COMPARISON(prim_char_ci_gt, uc_foldcase, >)
COMPARISON(prim_char_ci_le, uc_foldcase, <=)
COMPARISON(prim_char_ci_ge, uc_foldcase, >=)

/* ---- properties ---- */

static bool in_categories(uint32_t c, int first, int last) {
  int category = uc_category(c);
  return category >= first && category <= last;
}
static bool is_title(uint32_t c) { return uc_category(c) == CAT_LT; }
static bool is_symbolic(uint32_t c) { return in_categories(c, CAT_SM, CAT_SO); }
static bool is_punctuation(uint32_t c) { return in_categories(c, CAT_PC, CAT_PO); }
static bool is_graphic(uint32_t c) { return in_categories(c, CAT_LU, CAT_SO); }
static bool is_blank(uint32_t c) { return c == '\t' || uc_category(c) == CAT_ZS; }
static bool is_control(uint32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

#define PROPERTY(name, test) \
  static Value name(int argc, Value *args) { \
    (void)argc; \
    CHECK_CHAR(NULL, 0); \
    return BOOL(test(CHAR_VALUE(args[0]))); \
  }
PROPERTY(prim_is_alphabetic, uc_alphabetic)
PROPERTY(prim_is_numeric, uc_numeric)
PROPERTY(prim_is_whitespace, uc_whitespace)
PROPERTY(prim_is_upper, uc_upper)
PROPERTY(prim_is_lower, uc_lower)
PROPERTY(prim_is_title, is_title)
PROPERTY(prim_is_symbolic, is_symbolic)
PROPERTY(prim_is_punctuation, is_punctuation)
PROPERTY(prim_is_graphic, is_graphic)
PROPERTY(prim_is_blank, is_blank)
PROPERTY(prim_is_control, is_control)

#define MAPPING(name, map) \
  static Value name(int argc, Value *args) { \
    (void)argc; \
    CHECK_CHAR(NULL, 0); \
    return CHAR(map(CHAR_VALUE(args[0]))); \
  }
MAPPING(prim_char_upcase, uc_upcase)
MAPPING(prim_char_downcase, uc_downcase)
MAPPING(prim_char_titlecase, uc_titlecase)
MAPPING(prim_char_foldcase, uc_foldcase)

static Value prim_digit_value(int argc, Value *args) {
  (void)argc;
  CHECK_CHAR(NULL, 0);
  int digit = uc_digit_value(CHAR_VALUE(args[0]));
  return digit < 0 ? V_FALSE : FIX(digit);
}

/* Racket's names: lu, ll ... */
static Value prim_general_category(int argc, Value *args) {
  (void)argc;
  CHECK_CHAR(NULL, 0);
  const char *name = uc_category_names[uc_category(CHAR_VALUE(args[0]))];
  return intern((char[]){(char)(name[0] | 32), name[1], 0});
}

static Value prim_char_utf8_length(int argc, Value *args) {
  (void)argc;
  CHECK_CHAR(NULL, 0);
  return FIX(utf8_size(CHAR_VALUE(args[0])));
}

const PrimDef char_prims[] = {
  {"char?", prim_is_char, 1, 1, "(char? obj)"},
  {"char->integer", prim_char_to_integer, 1, 1, "(char->integer char)"},
  {"integer->char", prim_integer_to_char, 1, 1, "(integer->char n)"},
  {"char=?", prim_char_eq, 1, -1, "(char=? char ...)"},
  {"char<?", prim_char_lt, 1, -1, "(char<? char ...)"},
  {"char>?", prim_char_gt, 1, -1, "(char>? char ...)"},
  {"char<=?", prim_char_le, 1, -1, "(char<=? char ...)"},
  {"char>=?", prim_char_ge, 1, -1, "(char>=? char ...)"},
  {"char-ci=?", prim_char_ci_eq, 1, -1, "(char-ci=? char ...)"},
  {"char-ci<?", prim_char_ci_lt, 1, -1, "(char-ci<? char ...)"},
  {"char-ci>?", prim_char_ci_gt, 1, -1, "(char-ci>? char ...)"},
  {"char-ci<=?", prim_char_ci_le, 1, -1, "(char-ci<=? char ...)"},
  {"char-ci>=?", prim_char_ci_ge, 1, -1, "(char-ci>=? char ...)"},
  {"char-alphabetic?", prim_is_alphabetic, 1, 1, "(char-alphabetic? char)"},
  {"char-numeric?", prim_is_numeric, 1, 1, "(char-numeric? char)"},
  {"char-whitespace?", prim_is_whitespace, 1, 1, "(char-whitespace? char)"},
  {"char-upper-case?", prim_is_upper, 1, 1, "(char-upper-case? char)"},
  {"char-lower-case?", prim_is_lower, 1, 1, "(char-lower-case? char)"},
  {"char-title-case?", prim_is_title, 1, 1, "(char-title-case? char)"},
  {"char-symbolic?", prim_is_symbolic, 1, 1, "(char-symbolic? char)"},
  {"char-punctuation?", prim_is_punctuation, 1, 1, "(char-punctuation? char)"},
  {"char-graphic?", prim_is_graphic, 1, 1, "(char-graphic? char)"},
  {"char-blank?", prim_is_blank, 1, 1, "(char-blank? char)"},
  {"char-iso-control?", prim_is_control, 1, 1, "(char-iso-control? char)"},
  {"char-upcase", prim_char_upcase, 1, 1, "(char-upcase char)"},
  {"char-downcase", prim_char_downcase, 1, 1, "(char-downcase char)"},
  {"char-titlecase", prim_char_titlecase, 1, 1, "(char-titlecase char)"},
  {"char-foldcase", prim_char_foldcase, 1, 1, "(char-foldcase char)"},
  {"digit-value", prim_digit_value, 1, 1, "(digit-value char)"},
  {"char-general-category", prim_general_category, 1, 1, "(char-general-category char)"},
  {"char-utf-8-length", prim_char_utf8_length, 1, 1, "(char-utf-8-length char)"},
  {0},
};
