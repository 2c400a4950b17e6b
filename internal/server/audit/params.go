package audit

import "slices"

// Params are the parameters of a request, in the order of their names. They take less to
// make and to write than a map.
type Params []Param

// A Param is a parameter of a request.
type Param struct{ Name, Value string }

// Get returns the value of a parameter, or "".
func (p Params) Get(name string) string {
	i := slices.IndexFunc(p, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return ""
	}
	return p[i].Value
}

// MarshalJSON implements [json.Marshaler].
func (p Params) MarshalJSON() ([]byte, error) {
	b := p.appendJSON(nil)
	return b[:len(b)-1], nil // without the comma
}

func (p Params) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for _, param := range p {
		b = appendText(b, param.Name, param.Value)
	}
	return endObject(b)
}
