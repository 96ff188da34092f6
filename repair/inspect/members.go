package inspect

import (
	"iter"
	"reflect"
	"strings"
	"sync"
)

// A member is one member of an object: a field of a struct, or a fact.
type member struct {
	name  string
	value reflect.Value
	extra bool // left out of the text
}

// shape is what is known of a struct type: for each of its fields the name in JSON and how it is to be left out.
type shape []struct {
	name         string
	omit, hidden bool
}

var shapes sync.Map // of reflect.Type to shape

func shapeOf(t reflect.Type) shape {
	if s, ok := shapes.Load(t); ok {
		return s.(shape)
	}
	s := make(shape, t.NumField())
	for i := range s {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		s[i].name, s[i].omit, s[i].hidden = name, options == "omitempty", f.Tag.Get("text") == "-"
	}
	shapes.Store(t, s)
	return s
}

// members gives what an object holds, in order. The value of a field is taken when its turn comes: what a stream finds out
// stands behind it.
func members(v reflect.Value) iter.Seq[member] {
	return func(yield func(member) bool) {
		if facts, ok := v.Interface().(Facts); ok {
			for _, f := range facts {
				if !yield(member{f.Name, reflect.ValueOf(f.Value), f.Extra}) {
					return
				}
			}
			return
		}
		for i, f := range shapeOf(v.Type()) {
			if f.name == "" || f.omit && empty(v.Field(i)) {
				continue
			}
			if !yield(member{f.name, v.Field(i), f.hidden}) {
				return
			}
		}
	}
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

// isObject reports whether a value has members.
func isObject(v reflect.Value) bool {
	return v.Kind() == reflect.Struct || v.Type() == reflect.TypeFor[Facts]()
}

// isList reports whether a value has elements that are written as such: a slice of anything but bytes, or a stream.
func isList(v reflect.Value) bool {
	return v.Kind() == reflect.Func || v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 && !isObject(v)
}

// elements gives what a list holds. A stream is read as it goes.
func elements(v reflect.Value) iter.Seq[reflect.Value] {
	if v.Kind() == reflect.Func {
		return v.Seq()
	}
	return func(yield func(reflect.Value) bool) {
		for i := range v.Len() {
			if !yield(v.Index(i)) {
				return
			}
		}
	}
}

// plain takes pointers and interfaces away.
func plain(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}
