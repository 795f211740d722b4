; name: Parallel fan-out
; patterns: 1
; why: Every part at once by a cheap model, one synthesis by a better one: fast, and simple to check.
$head
$findings
$merge
(finish (apply merge findings))
