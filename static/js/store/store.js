import { openConversations } from "./conversations.js";
import { openDatabase } from "./database.js";
import { openLibrary } from "./library.js";

/** All that the browser keeps: nothing of it is sent anywhere but in the requests a person makes. */
export async function openStore() {
  const database = await openDatabase();
  return { kept: database.kept, conversations: await openConversations(database), library: await openLibrary(database) };
}
