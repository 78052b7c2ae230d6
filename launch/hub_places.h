#pragma once
#include <string>

#include "launch/hub_files.h"
#include "launch/run_config.h"

namespace herd {

class Communicator;

/// The folder that a command line or recipe means: `place` itself where it is there, or cannot be a hub's id; else the files of `org/name`
/// or `org/name@revision`, fetched into the cache. Where the hub cannot be reached, or HF_HUB_OFFLINE=1 forbids it, what the cache holds;
/// the former with a warning.
/// @param key what asks for it, for messages: `--model`, `model.path`. @throws what fetch_repo and cached_repo throw, with the key before
/// it.
std::string hub_folder(const std::string& place, HubUse use, const std::string& key);

/// The same for an entry of data.sets: `hub:org/name/path/in/it.json`, or `hub:org/name` where it holds one file of records alone; with
/// `@revision` after the name.
std::string hub_records(const std::string& place, const std::string& key);

/// Puts folders and files in place of all ids of a recipe. @param model what is needed of model.path.
void fetch_run(RunConfig& config, HubUse model);
/// The same on every rank of a job, together: the first rank of each node fetches, however long that takes, and the others wait for it.
/// @return a line for each, for the log. @throws on all ranks what one of them throws.
std::vector<std::string> fetch_run(RunConfig& config, Communicator& communicator);

}  // namespace herd
