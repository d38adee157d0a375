-- Who was removed from which room, so that it outlives a restart. A table of its own: the former server's stay as they
-- are.

-- CreateTable
CREATE TABLE "RoomRemoval" (
    "roomId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "removedAt" TIMESTAMP(3) NOT NULL,
    "until" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "RoomRemoval_pkey" PRIMARY KEY ("roomId","userId")
);

-- CreateIndex
CREATE INDEX "RoomRemoval_userId_idx" ON "RoomRemoval"("userId");

-- CreateIndex
CREATE INDEX "RoomRemoval_until_idx" ON "RoomRemoval"("until");

-- AddForeignKey
ALTER TABLE "RoomRemoval" ADD CONSTRAINT "RoomRemoval_roomId_fkey" FOREIGN KEY ("roomId") REFERENCES "Room"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "RoomRemoval" ADD CONSTRAINT "RoomRemoval_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
