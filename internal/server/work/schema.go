package work

import "github.com/gatehouse-registry/gatehouse/internal/server/db"

// The states of a job. What is done has no row.
const (
	stateQueued  = 0
	stateRunning = 1
	stateFailed  = 2
)

// Migrations returns the schema of this package.
func Migrations() []db.Migration { return migrations }

var migrations = []db.Migration{
	// Earlier versions ran recurring work with this table. They may run beside this
	// version during an upgrade; then a sweep may run twice, which is safe.
	{Name: "jobs/001-lease", SQL: `CREATE TABLE job_lease (
		name   {text} NOT NULL PRIMARY KEY,
		holder {text} NOT NULL,
		until  {int} NOT NULL, -- when the lease lapses
		due    {int} NOT NULL  -- when the job is to start next
	)`},
	{Name: "work/001-queue", SQL: `
		CREATE TABLE work (
			id         {text} NOT NULL PRIMARY KEY, -- in the order of creation
			kind       {text} NOT NULL,
			key        {text} NOT NULL, -- the id if the job has no key
			payload    {bytes} NOT NULL,
			state      {int} NOT NULL, -- 0 queued, 1 running, 2 failed
			run_at     {int} NOT NULL, -- when it is due
			created    {int} NOT NULL,
			attempts   {int} NOT NULL, -- with the running one
			leased_by  {text} NOT NULL, -- the session that runs it, or empty
			started    {int} NOT NULL, -- when the last run began, or 0
			finished   {int} NOT NULL, -- when the last run ended, or 0
			again      {int} NOT NULL, -- 1 if it was put into the queue while it ran
			last_error {text} NOT NULL
		);
		CREATE UNIQUE INDEX work_key ON work (kind, key);
		CREATE INDEX work_due ON work (state, kind, run_at);
		CREATE INDEX work_lease ON work (leased_by);
		CREATE TABLE work_session (
			id   {text} NOT NULL PRIMARY KEY,
			beat {int} NOT NULL
		)`},
}
