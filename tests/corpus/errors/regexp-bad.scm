(regexp "(abc")
