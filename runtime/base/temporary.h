#pragma once
#include <filesystem>
#include <string_view>

namespace herd {

/// Where to prepare what takes `place` once it is whole: `.NAME.tmp-HOST-PROCESS-THREAD` beside it. Two threads, processes or hosts of a shared
/// file system never meet in one name.
std::filesystem::path temporary_beside(const std::filesystem::path& place);

/// Removes from `folder` what writers left there that were killed (SIGKILL, a lost machine) before they were done. The rule is: a name as
/// above, with this host's name and a process that is no more. What living processes, other hosts and other programs wrote stays, as does
/// what cannot be removed. A folder `…-old` was moved aside by a writer that died before the new one stood in its place: where nothing
/// stands there, it goes back.
/// A process of a container that has this host's name, but process numbers of its own, looks dead from here: writers of one place
/// are to keep each other out, as runs do by their RunLock.
/// @param name of the one place in `folder` that is to be written; empty: of any.
void remove_leftovers(const std::filesystem::path& folder, std::string_view name = {});

}  // namespace herd
