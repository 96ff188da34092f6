package fidelity

func (r *report) markdown() string { return "" }
