// Package randid makes random ids for requests, uploads, objects and rows.
//
// The ids come from the operating system's generator and cannot be guessed, and
// two of them are never equal in practice. Even so an id names a thing and
// proves nothing: no caller may treat knowledge of an id as a permission.
//
// The package imports no other package of this module. Ids that AWS gives a form
// of their own, such as AKIA…, are made by package token.
package randid

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// UUID returns a random UUID: version 4 of RFC 9562, section 5.4, as 36
// characters of 0-9, a-f and '-'. AWS's request ids and ECR's upload ids have
// this form.
func UUID() string {
	var b [16]byte
	rand.Read(b[:])         // never fails
	b[6] = b[6]&0x0f | 0x40 // version 4
	b[8] = b[8]&0x3f | 0x80 // variant of RFC 9562
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	s[8] = '-'
	hex.Encode(s[9:13], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:18], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:23], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:36], b[10:16])
	return string(s[:])
}

// Text returns 26 random characters of a-z and 2-7, at least 128 bits. The blob
// store takes it as part of an object's name.
func Text() string { return strings.ToLower(rand.Text()) }

// Row returns a random key for a table's row: 63 bits, never negative.
func Row() int64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}
