#include "kernel_model/choice.h"

namespace orrery::model {
namespace {

constexpr SiteInfo kSites[] = {
#define ORRERY_CHOICE_SITE(enumerator, name, evidence, ...) \
  {Site::enumerator, name, Evidence::evidence, __VA_ARGS__},
#include "kernel_model/choice_sites.inc"
#undef ORRERY_CHOICE_SITE
};
static_assert(std::size(kSites) == static_cast<size_t>(Site::kCount));

}  // namespace

std::span<const SiteInfo> Sites() { return kSites; }

const SiteInfo& InfoOf(Site site) {
  ORRERY_CHECK(site < Site::kCount);
  return kSites[static_cast<size_t>(site)];
}

const SiteInfo* FindSite(std::string_view name) {
  for (const SiteInfo& info : kSites) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

}  // namespace orrery::model
