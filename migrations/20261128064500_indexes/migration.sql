-- An index for each query of the server, where its table is small: a fresh database, and one with some thousand rows.
--
-- CREATE INDEX keeps everybody from writing to the table until it is done. So an index on a table of more than 8 MB is
-- not made here: the server builds it while it serves, and `neuron-meet db deploy` at once, both with CREATE INDEX
-- CONCURRENTLY (neuron_meet/store/indexes.py, which has the same list).
DO $$
DECLARE
    wanted CONSTANT text[][] := ARRAY[
        ARRAY['Message_roomId_createdAt_id_idx', 'Message', '"roomId", "createdAt" DESC, "id" DESC'],
        ARRAY['Participant_isActive_roomId_idx', 'Participant', '"isActive", "roomId"'],
        ARRAY['Participant_userId_joinedAt_id_idx', 'Participant', '"userId", "joinedAt" DESC, "id" DESC'],
        ARRAY['Participant_userId_roomId_joinedAt_idx', 'Participant', '"userId", "roomId", "joinedAt" DESC'],
        ARRAY['Room_hostId_isActive_createdAt_id_idx', 'Room', '"hostId", "isActive", "createdAt" DESC, "id" DESC'],
        ARRAY['Room_isActive_createdAt_id_idx', 'Room', '"isActive", "createdAt" DESC, "id" DESC'],
        ARRAY['Room_endedAt_idx', 'Room', '"endedAt"'],
        ARRAY['User_email_lower_idx', 'User', 'lower("email")']
    ];
    one text[];
BEGIN
    FOREACH one SLICE 1 IN ARRAY wanted LOOP
        -- Asked first: CREATE INDEX IF NOT EXISTS would wait for whoever is building it.
        IF to_regclass(quote_ident(one[1])) IS NULL
           AND pg_table_size(quote_ident(one[2])::regclass) <= 8 * 1024 * 1024 THEN
            EXECUTE format('CREATE INDEX %I ON %I (%s)', one[1], one[2], one[3]);
        END IF;
    END LOOP;
END $$;
