-- The PACS rule of the compose example: each image that reaches Orthanc goes on to the node.
-- What the node itself stored, its results, does not go back to it.
function OnStoredInstance(instanceId, tags, metadata, origin)
   if origin['RemoteAet'] ~= 'DICOMNODE' then
      SendToModality(instanceId, 'dicomnode')
   end
end
