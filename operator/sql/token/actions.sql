-- Actions: every kind of mail of this database.
SELECT k.action::text AS label, k.number, k.path, k.code_signed FROM actions AS k ORDER BY k.number;
