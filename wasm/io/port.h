/* port.h — ports are plain objects: text or bytes in memory and a position, or a Scheme procedure
 * (the handler) that is asked where more comes from or where output goes.
 *
 * A primitive never waits: where a custom input port has not enough in its buffer, the primitive
 * tail-calls the handler, (handler port 'fill retry args), which feeds the port (%port-feed!) and
 * applies `retry`, the same primitive, to the same arguments again.
 */
#ifndef RLM_IO_PORT_H
#define RLM_IO_PORT_H
#include "core/value.h"

struct Port {
  uint64_t header;
  Value flags;       /* fixnum of PORT_ flags */
  Value data;        /* input: a string or a bytevector. output: a T_RAW or #f, see Builder */
  Value length;      /* output: how many characters (bytes) are in data */
  Value width;       /* output: of the characters in data */
  Value lineage;     /* output: of what was written */
  Value position;    /* input: index of what comes next */
  Value located;     /* input: the position that line and column are those of */
  Value line;        /* from 1 */
  Value column;      /* from 0 */
  Value handler;     /* #f, or the procedure of a custom port */
};
enum { PORT_SLOTS = 10 };
#define PORT(v) ((struct Port *)PTR(v))

enum { PORT_INPUT = 1, PORT_OUTPUT = 2, PORT_TEXT = 4, PORT_OPEN = 8,
       PORT_EOF = 16,          /* a custom input port whose handler has no more */
       PORT_MID_LINE = 32,     /* output: the last character was no newline */
       PORT_FOLD_CASE = 64 };  /* input: #!fold-case was the last of its kind that was read */
static inline bool port_has(Value port, int64_t flags) { return (FIX_VALUE(PORT(port)->flags) & flags) == flags; }

enum { PORT_STDIN, PORT_STDOUT, PORT_STDERR };
Value default_port(int which);

/* The port that argument i names, or the default one: a port of that direction, else V_ERROR. */
Value port_argument(int argc, Value *args, int i, int which);

/* For `read`: the text of an input port and where it stands. port_complete sees to it that all of
   it is there: V_TRUE, or a signal to return. i: the port's place among the arguments of `name`. */
Value port_complete(Value port, const char *name, int i, int argc, Value *args);
void port_text(Value port, Value *string, uint32_t *position);
void port_set_position(Value port, uint32_t position);
void port_set_fold_case(Value port, bool fold);

/* Line (from 1) and column (from 0) of what comes next. */
Value port_location(Value port, uint32_t *line, uint32_t *column);   /* V_TRUE, or V_AGAIN where it is long: the port knows how far it is */
#endif
