package source

import (
	"cmp"
	"time"
)

// Settings say how long answers of registries are used. Fields that are zero have
// defaults. An [Override] can say otherwise for a registry.
type Settings struct {
	// Fresh is how long an answer is used without asking again. 0 is 10 seconds.
	Fresh time.Duration
	// Background is for how long after that an answer is used while the registry is asked
	// in the background. 0 is 1 minute.
	Background time.Duration
	// IndexFresh is how long a registry's list of all its packages is used without asking
	// again. 0 is 1 minute.
	IndexFresh time.Duration
	// Missing is how long a registry's answer that it does not have a package is believed.
	// 0 is 30 seconds.
	Missing time.Duration
	// Patience is how long a client waits for a registry if there is an older answer. 0 is
	// 3 seconds.
	Patience time.Duration
	// Retry is how long a registry is not asked again about a package after it failed. 0
	// is 5 seconds.
	Retry time.Duration
	// MaxStale is how long an answer is used if the registry fails. 0 is 7 days.
	MaxStale time.Duration
	// Timeout bounds one question to a registry. 0 is 2 minutes.
	Timeout time.Duration
	// MaxDocument bounds an answer about a package, in bytes. 0 is 128 MiB.
	MaxDocument int64
	// ReceivingBytes bounds the documents of all registries that are on their way at a time,
	// in bytes. One document of the largest size is always possible. 0 is 512 MiB.
	ReceivingBytes int64
	// MaxDocuments and MaxBytes bound what is kept in the database: the number of answers,
	// and their size in bytes, compressed. 0 is 200,000 and 4 GiB.
	MaxDocuments, MaxBytes int64
	// MemoryBytes bounds what is kept in memory, in bytes. 0 is 128 MiB.
	MemoryBytes int64
}

// An Override has settings of one registry. Fields that are zero are those of [Settings].
type Override struct {
	Fresh, Background, Missing, Patience, Retry, MaxStale, Timeout time.Duration
	MaxDocument                                                    int64
}

// with returns the settings of a registry.
func (s Settings) with(o Override) Settings {
	s.Fresh = cmp.Or(o.Fresh, s.Fresh)
	s.Background = cmp.Or(o.Background, s.Background)
	s.Missing = cmp.Or(o.Missing, s.Missing)
	s.Patience = cmp.Or(o.Patience, s.Patience)
	s.Retry = cmp.Or(o.Retry, s.Retry)
	s.MaxStale = cmp.Or(o.MaxStale, s.MaxStale)
	s.Timeout = cmp.Or(o.Timeout, s.Timeout)
	s.MaxDocument = cmp.Or(o.MaxDocument, s.MaxDocument)
	return s
}

// WithDefaults returns the settings with their defaults.
func (s Settings) WithDefaults() Settings {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&s.Fresh, 10 * time.Second},
		{&s.Background, time.Minute},
		{&s.IndexFresh, time.Minute},
		{&s.Missing, 30 * time.Second},
		{&s.Patience, 3 * time.Second},
		{&s.Retry, 5 * time.Second},
		{&s.MaxStale, 7 * 24 * time.Hour},
		{&s.Timeout, 2 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&s.MaxDocument, 128 << 20}, {&s.ReceivingBytes, 512 << 20}, {&s.MaxDocuments, 200_000}, {&s.MaxBytes, 4 << 30}, {&s.MemoryBytes, 128 << 20},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return s
}
