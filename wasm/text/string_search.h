/* string_search.h — searching in raw characters. */
#ifndef RLM_TEXT_STRING_SEARCH_H
#define RLM_TEXT_STRING_SEARCH_H
#include <stdint.h>

/* Where c is first among chars [start, end); end where it is not. */
uint32_t chars_find(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end, uint32_t c);

/* Where the pattern first begins within [start, end); end + 1 where nowhere. Linear time. */
uint32_t chars_search(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end,
                      const uint8_t *pattern, uint32_t pattern_width, uint32_t count);
#endif
