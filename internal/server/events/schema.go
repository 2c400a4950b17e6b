package events

import (
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// Migrations returns the schema of this package.
func Migrations() []db.Migration { return slices.Clone(migrations) }

var migrations = []db.Migration{{Name: "events/001-log", SQL: `
CREATE TABLE event_outbox ( -- what was not collected yet
	id          {text} NOT NULL PRIMARY KEY, -- in the order of the server's writing
	at          {int}  NOT NULL,
	source      {text} NOT NULL,
	detail_type {text} NOT NULL,
	account     {text} NOT NULL,
	domain      {text} NOT NULL, -- empty for none
	repository  {text} NOT NULL,
	body        {text} NOT NULL  -- the whole event as JSON
);
CREATE TABLE event (
	number      {int}  NOT NULL PRIMARY KEY,
	id          {text} NOT NULL,
	at          {int}  NOT NULL,
	source      {text} NOT NULL,
	detail_type {text} NOT NULL,
	account     {text} NOT NULL,
	domain      {text} NOT NULL,
	repository  {text} NOT NULL,
	body        {text} NOT NULL
);
CREATE INDEX event_at ON event (at, number);
CREATE TABLE event_number (
	one  {int} NOT NULL PRIMARY KEY, -- 1
	last {int} NOT NULL -- the number of the newest event
);
INSERT INTO event_number (one, last) VALUES (1, 0);
`}}
