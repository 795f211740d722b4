(defun square (x) (* x x))
