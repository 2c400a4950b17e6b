package api

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// maxParam is the length in bytes up to which an audit record shows a text completely.
const maxParam = 1024

// secret are the members of inputs that must not be in a record.
var secret = map[string]bool{
	"Password": true, "NewPassword": true, "OldPassword": true, "SecretAccessKey": true, "SessionToken": true,
	"WebIdentityToken": true, "SAMLAssertion": true, "PrivateKey": true, "Seed": true,
	"AuthenticationCode1": true, "AuthenticationCode2": true, "TokenCode": true, "SecretString": true,
}

// params turns the input of an operation into CloudTrail's requestParameters. Members
// are in lower camel case; members that are unset or bytes are left out, and secrets
// are hidden.
func params(in any) map[string]any {
	v := reflect.Indirect(reflect.ValueOf(in))
	if v.Kind() != reflect.Struct {
		return nil
	}
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || v.Field(i).IsZero() {
			continue
		}
		name := strings.ToLower(f.Name[:1]) + f.Name[1:]
		if secret[f.Name] {
			out[name] = "HIDDEN_DUE_TO_SECURITY_REASONS" // CloudTrail's own words
			continue
		}
		if p, ok := param(reflect.Indirect(v.Field(i))); ok {
			out[name] = p
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func param(v reflect.Value) (any, bool) {
	if t, ok := v.Interface().(time.Time); ok {
		return t.UTC().Format(time.RFC3339), true
	}
	switch v.Kind() {
	case reflect.String:
		if v.Len() > maxParam {
			return fmt.Sprintf("%s… (%d bytes)", v.String()[:maxParam], v.Len()), true
		}
		return v.String(), true
	case reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return v.Interface(), true
	case reflect.Struct:
		return params(v.Interface()), true
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil, false
		}
		list := make([]any, 0, v.Len())
		for i := range min(v.Len(), 100) {
			if p, ok := param(reflect.Indirect(v.Index(i))); ok {
				list = append(list, p)
			}
		}
		return list, true
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			if p, ok := param(reflect.Indirect(it.Value())); ok {
				m[it.Key().String()] = p
			}
		}
		return m, true
	default: // streams
		return nil, false
	}
}
