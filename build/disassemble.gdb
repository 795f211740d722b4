# What the compiler makes of a program's procedures, instruction by instruction. See CONTRIBUTING.md, "A disassembly".
#
# Prints each procedure of the program as it is compiled: the offset, the word, the instruction, its operand A.
# wasm/vm/code.h says what each does; a further word of an instruction is shown as if it were one.

set pagination off
set confirm off

define disassemble_template
  set $template = (struct Template *)($arg0 >> 32)
  set $header = *(uint64_t *)($template->code >> 32)
  set $words = (uint32_t *)(($template->code >> 32) + 8)
  set $count = (unsigned)($header >> 32) / 4
  set $i = 0
  while $i < $count
    printf "%4d  %08x  ", $i, $words[$i]
    output (enum opcode)($words[$i] & 255)
    printf " %d\n", (int)$words[$i] >> 8
    set $i = $i + 1
  end
  printf "\n"
end

# Only what a program compiles: while the prelude is booted, the machine is not active.
break make_template if m.active
run
while $_isvoid($_exitcode)
  finish
  disassemble_template $
  continue
end
quit
